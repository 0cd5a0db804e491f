"""A contest of run lengths from its recipe to a submission: folds, training, ensemble, score."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from command.line import CommandLine, Finished
from foldseg.data.rle_text import decode_text, encode_text

REPOSITORY = Path(__file__).parents[2]
SIZE = (32, 48)
TRAIN = tuple(f"train{number}" for number in range(6))
TEST = ("test0", "test1")
RECIPES = {
    "severstal_old": ("data/severstal", "ImageId_ClassId", ("1", "2", "3", "4"), SIZE),
    "clouds": ("data/clouds", "Image_Label", ("Fish", "Flower", "Gravel", "Sugar"), (350, 525)),
}
"""Recipe -> folder of the data, column of ids, classes, and size of the submitted masks."""
LOSSES = {"severstal_old": {"cross_entropy": 1.0}, "clouds": {"cross_entropy": 0.0, "binary_cross_entropy": 1.0}}
EXPERIMENT = {
    "model": {
        "architecture": "unet",
        "encoder": "tu-resnet10t",
        "encoder_weights": None,
        "options": {"encoder_depth": 3, "decoder_channels": [8, 8, 8]},
    },
    "view": {"train": "full", "predict": "full"},
    "monitor": "image_mean_dice",
    "schedule": {"kind": "constant", "epochs": 1},
    "early_stopping": None,
    "batch_size": 2,
    "precision": "fp32",
    "workers": 0,
}


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image, in which the grey tells the class, and where the first class is."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, (4, 6), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return (50 * classes)[..., None].repeat(3, 2), classes == 1


@pytest.fixture(scope="module", params=RECIPES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the data of a contest, and the recipe for it. It has the name of the recipe."""
    name: str = request.param
    data, column, classes, _ = RECIPES[name]
    folder = tmp_path_factory.mktemp("contest") / name
    root = folder / data
    truth = [f"{column},EncodedPixels"]
    for seed, image_name in enumerate([*TRAIN, *TEST]):
        image, first = draw(seed)
        path = root / ("test_images" if image_name in TEST else "train_images") / f"{image_name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
        if image_name in TRAIN:
            runs = [encode_text(first), "", "", encode_text(first[::-1])]  # the first and the last one overlap
            truth += [f"{image_name}.jpg_{label},{text}" for label, text in zip(classes, runs, strict=True)]
    (root / "train.csv").write_text("\n".join(truth) + "\n")
    rows = [f"{image_name}.jpg_{label},1 1" for image_name in reversed(TEST) for label in classes]
    (root / "sample_submission.csv").write_text("\n".join([f"{column},EncodedPixels", *rows]) + "\n")
    recipes = REPOSITORY / "configs/contests"
    settings = {
        "experiments/first": {"base": f"{recipes}/{name}.yaml", **EXPERIMENT, "loss": LOSSES[name]},
        "ensembles/first": {
            "base": f"{recipes}/{name}_submission.yaml",
            "members": [{"experiment": "first"}],
            "folds": [0],
            "bootstrap_samples": 100,
            "workers": 1,
        },
    }
    for file, content in settings.items():
        path = folder / f"configs/{file}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_a_recipe_leads_to_a_submission(command_line: CommandLine, project: Path) -> None:
    data, _, _, size = RECIPES[project.name]

    def run(*words: str) -> Finished:
        done = command_line.run(*words, cwd=project)
        assert done.status == 0, done.said
        return done

    run("folds", "configs/experiments/first.yaml", "data.fold_count=2")
    run("train", "configs/experiments/first.yaml", "0", "data.fold_count=2")
    assert "submission.csv" in run("ensemble", "configs/ensembles/first.yaml").said
    path = project / "submissions/first/submission.csv"
    header, *rows = path.read_text().splitlines()
    sample = (project / data / "sample_submission.csv").read_text().splitlines()
    assert header == sample[0]
    assert [row.partition(",")[0] for row in rows] == [row.partition(",")[0] for row in sample[1:]]
    for row in rows:
        decode_text(row.partition(",")[2], size)  # which raises an error for runs that are not valid
    run("verify", "submissions/first")
    words = str(path), str(path), "--data", str(REPOSITORY / f"configs/contests/{project.name}.yaml")
    said = run("score", *words, f"data.root={data}").stdout
    assert ["image_mean_dice", "1.0000000"] in [line.split() for line in said.splitlines()]
    run("convert", str(path), "drawn", *words[2:], f"data.root={data}")
    picture = cv2.imread(str(project / "drawn/test0.png"))
    assert picture is not None and picture.shape[:2] == size
    of_hidden = predict_hidden_test_set(run, project)
    assert [row.partition(",")[2] for row in of_hidden] == [row.partition(",")[2] for row in rows]
    assert [row.partition(",")[0] for row in of_hidden] == [
        row.partition(",")[0].replace("test", "secret") for row in rows
    ]


def predict_hidden_test_set(run: Callable[..., Finished], project: Path) -> list[str]:
    """Predict the test images under other names, in a folder that holds nothing but them and their sample file.

    Return the rows of the submission.
    """
    hidden = project / "hidden"
    data = RECIPES[project.name][0]
    shutil.copytree(project / data / "test_images", hidden / "test_images")
    for path in list((hidden / "test_images").iterdir()):
        path.rename(path.with_name(path.name.replace("test", "secret")))
    sample = (project / data / "sample_submission.csv").read_text()
    (hidden / "sample_submission.csv").write_text(sample.replace("test", "secret"))
    words = ["data.root=hidden", "submission.sample=hidden/sample_submission.csv", "--time-limit", "1h"]
    assert "2 images in" in run("predict-test", "submissions/first", "hidden.csv", *words).stdout
    nested = ["--images", "hidden", "submission.sample=null"]
    assert "2 images in" in run("predict-test", "submissions/first", "nested.csv", *nested).stdout
    assert "test_images__secret" in (project / "nested.csv").read_text()
    return (project / "hidden.csv").read_text().splitlines()[1:]

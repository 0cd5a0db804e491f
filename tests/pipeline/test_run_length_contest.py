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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the data of Severstal in its first layout, and the recipe for it."""
    folder = tmp_path_factory.mktemp("steel")
    root = folder / "data/severstal"
    truth = ["ImageId_ClassId,EncodedPixels"]
    for seed, name in enumerate([*TRAIN, *TEST]):
        image, first = draw(seed)
        path = root / ("test_images" if name in TEST else "train_images") / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
        if name in TRAIN:
            truth += [f"{name}.jpg_{number},{encode_text(first) if number == 1 else ''}" for number in range(1, 5)]
    (root / "train.csv").write_text("\n".join(truth) + "\n")
    rows = [f"{name}.jpg_{number},1 1" for name in reversed(TEST) for number in range(1, 5)]
    (root / "sample_submission.csv").write_text("\n".join(["ImageId_ClassId,EncodedPixels", *rows]) + "\n")
    recipes = REPOSITORY / "configs/contests"
    settings = {
        "experiments/steel": {"base": f"{recipes}/severstal_old.yaml", **EXPERIMENT},
        "ensembles/steel": {
            "base": f"{recipes}/severstal_old_submission.yaml",
            "members": [{"experiment": "steel"}],
            "folds": [0],
            "bootstrap_samples": 100,
            "workers": 1,
        },
    }
    for name, content in settings.items():
        path = folder / f"configs/{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_a_recipe_leads_to_a_submission(command_line: CommandLine, project: Path) -> None:
    def run(*words: str) -> Finished:
        done = command_line.run(*words, cwd=project)
        assert done.status == 0, done.said
        return done

    run("folds", "configs/experiments/steel.yaml", "data.fold_count=2")
    run("train", "configs/experiments/steel.yaml", "0", "data.fold_count=2")
    assert "submission.csv" in run("ensemble", "configs/ensembles/steel.yaml").said
    path = project / "submissions/steel/submission.csv"
    header, *rows = path.read_text().splitlines()
    sample = (project / "data/severstal/sample_submission.csv").read_text().splitlines()
    assert header == sample[0]
    assert [row.partition(",")[0] for row in rows] == [row.partition(",")[0] for row in sample[1:]]
    for row in rows:
        decode_text(row.partition(",")[2], SIZE)  # which raises an error for runs that are not valid
    run("verify", "submissions/steel")
    words = str(path), str(path), "--data", str(REPOSITORY / "configs/contests/severstal_old.yaml")
    said = run("score", *words, "data.root=data/severstal").stdout
    assert ["image_mean_dice", "1.0000000"] in [line.split() for line in said.splitlines()]
    of_hidden = predict_hidden_test_set(run, project)
    assert [row.partition(",")[2] for row in of_hidden] == [row.partition(",")[2] for row in rows]
    assert [row.partition(",")[0] for row in of_hidden][:2] == ["secret1.jpg_1", "secret1.jpg_2"]


def predict_hidden_test_set(run: Callable[..., Finished], project: Path) -> list[str]:
    """Predict the test images under other names, in a folder that holds nothing but them and their sample file.

    Return the rows of the submission.
    """
    hidden = project / "hidden"
    shutil.copytree(project / "data/severstal/test_images", hidden / "test_images")
    for path in list((hidden / "test_images").iterdir()):
        path.rename(path.with_name(path.name.replace("test", "secret")))
    sample = (project / "data/severstal/sample_submission.csv").read_text()
    (hidden / "sample_submission.csv").write_text(sample.replace("test", "secret"))
    words = ["data.root=hidden", "submission.sample=hidden/sample_submission.csv", "--time-limit", "1h"]
    assert "2 images in" in run("predict-test", "submissions/steel", "hidden.csv", *words).stdout
    return (project / "hidden.csv").read_text().splitlines()[1:]

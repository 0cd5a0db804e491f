"""Overlapping classes, and a binary task of one class, the whole way: from masks to a verified submission."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from foldseg.config import load_data, load_ensemble, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.deploy.interface import PredictionOptions
from foldseg.deploy.sources import open_source
from foldseg.ensemble.pseudo import write_pseudo_labels
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import predict_run
from foldseg.inference.store import PredictionStore
from foldseg.report import eda, error_analysis
from foldseg.report.oof_labels import open_oof
from foldseg.report.recompute import recompute, recompute_ensemble, require_equal
from foldseg.submission.submission_score import score_submission
from foldseg.training.fit import train_fold

SIZE = (48, 64)


def write_shapes(root: Path, classes: list[str], train: int = 8, test: int = 3) -> None:
    """Write images with a disc, a square, both, or none, and a mask of each class. Grey edges there are none."""
    rng = np.random.default_rng(0)
    for split, count in {"train": train, "test": test}.items():
        for number in range(count):
            image = rng.integers(0, 60, (*SIZE, 3), np.uint8)
            for channel, name in enumerate(classes):
                mask = np.zeros(SIZE, np.uint8)
                if (number >> channel) % 2 == 0:
                    row, column = int(rng.integers(14, 34)), int(rng.integers(14, 50))
                    cv2.circle(mask, (column, row), 12, 255, -1)
                image[..., channel][mask > 0] += 180
                path = root / f"{split}_masks/{name}/{split}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), mask)
            (root / split).mkdir(exist_ok=True)
            assert cv2.imwrite(str(root / f"{split}/{split}{number}.png"), image[..., ::-1])


def write_project(folder: Path, classes: list[str], submission: str, steps: list[object]) -> Path:
    """Write the data and the YAMLs of a data set, an experiment and an ensemble. Return the folder."""
    write_shapes(folder / "data", classes)
    splits = {
        split: {"images": f"{split}/{{id}}.png", "masks": f"{split}_masks/{{class}}/{{id}}.png"}
        for split in ("train", "test")
    }
    data = {
        "dataset": {"kind": "folders", "classes": classes, "overlapping": True, "splits": splits},
        "root": str(folder / "data"),
        "folds": str(folder / "folds.csv"),
        "fold_count": 2,
    }
    experiment = {
        "data": data,
        "model": {
            "encoder": "tu-resnet10t",
            "encoder_weights": None,
            "options": {"encoder_depth": 3, "decoder_channels": [16, 16, 8]},
        },
        "view": {
            "train": {"kind": "crop", "size": [32, 32]},
            "predict": {"kind": "tiles", "size": [32, 32], "overlap": 0.5, "merge": "vote"},
        },
        "loss": {"binary_cross_entropy": 1.0, "dice": 1.0, "class_weights": "inverse_log", "positive_weights": 2.0},
        "sampling": {"balance": {"kind": "class_crops", "share": 0.5}},
        "copy_paste": {"probability": 0.5, "classes": {name: [] for name in classes}},
        "cut_mix": {"probability": 0.3},
        "schedule": {"epochs": 1},
        "monitor": "image_mean_dice",
        "batch_size": 4,
        "workers": 0,
        "runs": str(folder / "runs"),
    }
    ensemble = {
        "members": [{"experiment": "shapes"}, {"experiment": "shapes", "view": {"kind": "full"}}],
        "tta": ["flip"],
        "steps": steps,
        "score": "image_mean_dice",
        "submission": submission,
        "workers": 1,
        "runs": str(folder / "runs"),
        "submissions": str(folder / "submissions"),
    }
    (folder / "data.yaml").write_text(yaml.safe_dump({"data": data}))
    (folder / "shapes.yaml").write_text(yaml.safe_dump(experiment))
    (folder / "ens.yaml").write_text(yaml.safe_dump(ensemble))
    make_folds_file(load_data(folder / "data.yaml"))
    return folder


FITTED = [
    "weights",
    {"kind": "thresholds", "force": True},
    {"kind": "gate", "force": True},
    {"kind": "clean_up", "min_area": [2, 20], "force": True},
]
TRIPLET = [{"kind": "triplet", "force": True}]


@pytest.fixture(scope="module", params=["two classes", "one class"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both folds are trained, and the ensemble is made."""
    classes, submission, steps = {
        "two classes": (["disc", "spot"], "run_length", FITTED),
        "one class": (["disc"], "binary_png", TRIPLET),
    }[request.param]
    folder = write_project(tmp_path_factory.mktemp("shapes"), classes, submission, steps)
    for fold in range(2):
        predict_run(train_fold(load_experiment(folder / "shapes.yaml"), fold))
    predict_ensemble(load_ensemble(folder / "ens.yaml"))
    return folder


def test_the_ensemble_is_verified_from_its_files_and_from_its_stores(project: Path) -> None:
    submission = project / "submissions/ens"
    recomputed = recompute(submission)
    assert len(recomputed.statements) > 20 and not recomputed.remarks
    require_equal(recomputed.statements)
    require_equal(recompute_ensemble(submission))
    require_equal(recompute(project / "runs/shapes").statements)


def test_the_submission_scores_what_the_ensemble_says(project: Path) -> None:
    config = load_ensemble(project / "ens.yaml")
    folder = project / "submissions/ens"
    path = next(path for path in folder.iterdir() if path.name in ("submission.csv", "masks"))
    stated = yaml.safe_load((folder / "score.json").read_text())["test"]
    final = list(stated)[-1]
    scores = score_submission(path, DataSet(load_data(project / "data.yaml")))
    assert scores[config.score].value == pytest.approx(stated[final][config.score], abs=1e-9)
    assert stated[final]["pixel_accuracy"] is None


def test_a_store_holds_a_probability_for_each_class(project: Path) -> None:
    data = DataSet(load_data(project / "data.yaml"))
    store = PredictionStore(project / "runs/shapes/fold_0/predictions/oof-full_1-flip")
    planes = np.stack([store.read(name) for name in store.metadata.ids])
    assert planes.shape[1:] == (len(data.labels), *SIZE)
    assert len(np.unique(planes.astype(int).sum(1))) > 2  # they do not sum to 1


def test_any_picture_is_predicted_by_runs_ensemble_and_exported_file(project: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from foldseg.deploy.export import export_onnx
    from foldseg.runs.run_folder import RunFolder

    picture = cv2.imread(str(project / "data/test/test0.png"))[..., ::-1]
    run = project / "runs/shapes/fold_0"
    exported = project / "shapes.onnx"
    export_onnx(RunFolder.open(run), exported)
    sources = [open_source(paths, PredictionOptions()) for paths in (run, exported, project / "submissions/ens")]
    masks = [source.predict_label_map(picture) for source in sources]
    for source, mask in zip(sources, masks, strict=True):
        assert source.labels.overlapping
        assert mask.max() < source.labels.number_of_values
        maps = source.predict_probabilities(picture)
        assert maps.shape == (len(source.labels), *SIZE)
    assert np.array_equal(masks[0], masks[1])


def test_pseudo_labels_are_class_bits(project: Path, tmp_path: Path) -> None:
    labels = load_data(project / "data.yaml").dataset.classes  # type: ignore[attr-defined]
    shares = write_pseudo_labels(load_ensemble(project / "ens.yaml"), tmp_path / "pseudo", 0.5)
    mask = cv2.imread(str(tmp_path / "pseudo/fold_0/test0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.max() < 1 << len(labels)
    assert shares[0]["void"] == 0
    source = {"images": str(project / "data/test"), "masks": str(tmp_path / "pseudo/fold_{fold}"), "encoding": "index"}
    changes = [f"name=student-{tmp_path.name}", f"sampling.sources={[source]}"]
    assert train_fold(load_experiment(project / "shapes.yaml", changes), 0).summary.is_file()


def test_reports_say_what_overlapping_classes_have(project: Path) -> None:
    oof = open_oof(project / "runs/shapes")
    analysis = error_analysis.analyse(oof)
    table = error_analysis.score_images(analysis)
    assert table["pixel_accuracy"].isna().all()
    assert np.array_equal(np.diag(analysis.confusion), analysis.counts[..., 0].sum(0))
    error_analysis.draw_images(analysis, list(table.index[:2]))
    pixels = eda.count_class_pixels(oof.data)
    assert (pixels["disc"] > 0).sum() == 6  # 4 of 8 training images, and 2 of 3 test images


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("steps=[bias]", r"steps\.bias: weighs classes against each other, and these overlap"),
        ("steps=[{kind: thresholds, categories: exclusive}]", "these? ?.*overlap|overlap; use categories: overlapping"),
        ("blend={kind: mean, union: [disc]}", r"blend\.union: is for classes of which each pixel has one"),
    ],
)
def test_what_is_for_exclusive_classes_is_refused(project: Path, override: str, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        predict_ensemble(load_ensemble(project / "ens.yaml", [override, "name=other"]))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("loss={cross_entropy: 1}", r"loss\.cross_entropy .*use loss\.binary_cross_entropy"),
        ("model.architecture=acfnet", "takes a softmax over classes"),
        ("distillation={teachers: [x]}", "the classes of this data set overlap"),
    ],
)
def test_settings_for_exclusive_classes_are_refused_before_any_file_is_read(
    project: Path, override: str, says: str
) -> None:
    with pytest.raises(FoldsegError, match=says):
        load_experiment(project / "shapes.yaml", [override])


def test_a_png_of_ids_cannot_say_two_classes(project: Path) -> None:
    if len(DataSet(load_data(project / "data.yaml")).labels) == 1:
        return
    with pytest.raises(
        FoldsegError, match=r"label_png gives every pixel one class, and the classes of this data set overlap"
    ):
        predict_ensemble(load_ensemble(project / "ens.yaml", ["submission=label_png", "name=other"]))


def test_a_network_whose_logits_are_kept_gives_the_same_labels(project: Path) -> None:
    changes = [
        "name=logits",
        "predictions=logits",
        "view.predict=full",
        "model={architecture: fpn, encoder: tu-resnet10t, options: {}}",
    ]
    experiment = load_experiment(project / "shapes.yaml", changes)
    run = train_fold(experiment, 0)
    predict_run(run)
    scores = recompute(run.path)
    monitored = next(s for s in scores.statements if s.what == "image_mean_dice")
    assert monitored.recomputed == pytest.approx(monitored.stated, abs=0.02)

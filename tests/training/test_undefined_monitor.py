"""Scores that are undefined (NaN) and masks without labels: told before training, and never a reason to stop."""

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
from tiny_training import FULL, assert_refused, tiny_overrides, trained

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.data.signate import LABELS
from foldseg.files import read_json
from foldseg.training.fit import build_trainer, train_fold
from foldseg.training.stopping import StopReason, find_stop_reason
from foldseg.training.validation import Validation

SIGNAL, SKY = (LABELS.colours[LABELS.names.index(name)] for name in ("signal", "sky"))


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """A toy city of the test's own, whose validation fold (0) has no signals."""
    overrides = tiny_overrides(tmp_path)
    repaint(tmp_path, fold=0, old=SIGNAL, new=SKY)
    return [*overrides, f"runs={tmp_path / 'runs'}", "data.labels=[signal]"]


def repaint(root: Path, fold: int, old: np.ndarray | None, new: np.ndarray) -> None:
    """Give the pixels of a colour, or all, another colour in the masks of a fold."""
    folds = pd.read_csv(root / "folds.csv")
    for name in folds["id"][folds["fold"] == fold]:
        path = root / f"city/seg_train_annotations/{name}.png"
        mask = cv2.imread(str(path))
        mask[np.s_[:] if old is None else (mask == old[::-1]).all(2)] = new[::-1]
        cv2.imwrite(str(path), mask)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["monitor=image_mean_iou_present"], "monitor: image_mean_iou_present is undefined on fold 0"),
        (["monitor=dataset_miou_scored"], "monitor: dataset_miou_scored is undefined on fold 0"),
        (
            ["schedule={kind: plateau, metric: iou/signal}", "monitor=pixel_accuracy"],
            "schedule.metric: iou/signal is undefined on fold 0",
        ),
    ],
)
def test_a_score_that_is_undefined_on_the_fold_is_refused_before_training(
    command_line: CommandLine, toy: list[str], tmp_path: Path, settings: list[str], says: str
):
    done = trained(command_line, [*toy, *settings])
    assert_refused(done, says, "6 masks hold only background", "use dataset_miou or")
    assert not (tmp_path / "runs/toy_full/fold_0/config.yaml").exists()


def test_a_score_that_is_defined_is_trained_by(command_line: CommandLine, toy: list[str], tmp_path: Path):
    done = trained(command_line, [*toy, "monitor=dataset_miou"])
    assert done.status == 0, done.said
    assert read_json(tmp_path / "runs/toy_full/fold_0/summary.json")["stopped"] == "the schedule ended"


@pytest.mark.parametrize(
    ("fold", "says"),
    [(1, "all pixels of all 4 training masks are void"), (0, "4 masks hold only void pixels; ")],
)
def test_masks_that_are_all_void_are_refused(
    command_line: CommandLine, camvid_root: Path, tmp_path: Path, fold: int, says: str
):
    data = [f"data.root={camvid_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2"]
    assert command_line.run("folds", "configs/data/camvid.yaml", *data).status == 0
    folds = pd.read_csv(tmp_path / "folds.csv")
    for name in folds["id"][folds["fold"] == fold]:
        cv2.imwrite(str(camvid_root / f"trainannot/{name}.png"), np.full((48, 64), 11, np.uint8))
    more = ["model.encoder_weights=null", f"runs={tmp_path / 'runs'}", "batch_size=2"]
    assert_refused(trained(command_line, [*data, *more], "configs/experiments/camvid_full.yaml"), says)


def test_a_score_that_is_nan_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It counts as no better, as patience says, and the best epoch is one that has a score."""
    values = iter([math.nan, math.nan, 0.3, 0.2, math.nan, 0.1])
    row = Validation.compute_metrics

    def spoiled(validation: Validation) -> dict[str, float]:
        return row(validation) | {"dataset_miou": next(values)}

    overrides = [*tiny_overrides(tmp_path), f"runs={tmp_path}", "schedule.epochs=6", "early_stopping={patience: 3}"]
    experiment = load_experiment(Path(FULL), overrides)
    monkeypatch.setattr("foldseg.training.fit.build_trainer", without_sanity_check(build_trainer))
    monkeypatch.setattr(Validation, "compute_metrics", spoiled)
    summary = read_json(train_fold(experiment, 0).summary)
    assert (summary["best_epoch"], summary["best"]) == (2, 0.3)
    assert (summary["epochs"], summary["stopped"]) == (6, "the schedule ended")


def without_sanity_check(build: Callable[..., pl.Trainer]) -> Callable[..., pl.Trainer]:
    def built(*args: object) -> pl.Trainer:
        trainer = build(*args)
        trainer.num_sanity_val_steps = 0
        return trainer

    return built


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.1, 0.2, math.nan, 0.2], StopReason.SCHEDULE_ENDED),
        ([0.1, math.nan], StopReason.NO_BETTER),
        ([math.nan, math.nan], StopReason.UNDEFINED),
    ],
)
def test_the_reason_is_the_true_one(values: list[float], reason: StopReason):
    config = load_experiment(Path(FULL), ["schedule.epochs=4", "validate_every=1"])
    assert find_stop_reason(config, [{config.monitor: value} for value in values]) is reason
    assert config.monitor in reason.text(config.monitor) or reason is StopReason.SCHEDULE_ENDED

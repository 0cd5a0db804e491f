"""Scores that no prediction could have on some images."""

from pathlib import Path

import cv2
import pytest

from foldseg.config.schema import Data
from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.scoring import undefined_scores
from foldseg.scoring.scores import SCORES
from foldseg.scoring.undefined_scores import check_defined

ALL = [*SCORES, "val_cross_entropy", "iou/signal", "iou/background"]
SIGNAL = {"image_mean_iou_present", "iou/signal", *(name for name in SCORES if name.endswith("_scored"))}


@pytest.fixture
def data(signate_root: Path) -> DataSet:
    """Data with one scored class, `signal`, which frames 4 to 7 do not have."""
    for index in range(4, 8):
        path = signate_root / f"seg_train_annotations/train_{index:04d}.png"
        mask = cv2.imread(str(path))
        mask[20:24, 50:54] = mask[24, 50]
        cv2.imwrite(str(path), mask)
    settings = {"dataset": "signate", "root": signate_root, "folds": signate_root / "folds.csv", "labels": ["signal"]}
    return DataSet(Data.model_validate(settings))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("has_signal", [True, False])
def test_what_is_undefined_is_refused_with_what_is_not(data: DataSet, name: str, has_signal: bool):
    table = data.samples
    table = table[table["id"].isin([f"train_{i:04d}" for i in (range(3, 8) if has_signal else range(4, 8))])]
    if has_signal or name not in SIGNAL:
        check_defined({"score": name}, list(SCORES), table, data, data.labels, "fold 1")
        return
    says = f"^score: {name} is undefined on fold 1, whose 4 masks hold only background; use dataset_miou or "
    with pytest.raises(FoldsegError, match=says) as refused:
        check_defined({"score": name}, list(SCORES), table, data, data.labels, "fold 1")
    assert not any(f" {other} or" in str(refused.value) for other in SIGNAL)


def test_masks_are_read_until_one_is_enough(data: DataSet, monkeypatch: pytest.MonkeyPatch):
    read = []
    original = undefined_scores.count_mask
    monkeypatch.setattr(undefined_scores, "count_mask", lambda path, *more: read.append(path) or original(path, *more))
    table = data.samples
    train = table[table["split"] == "train"]
    check_defined({"score": "dataset_miou_scored"}, [], train, data, data.labels, "fold 1")
    assert len(read) == 1

"""The data sets by name, and the folds file that is made of one."""

from pathlib import Path

import pytest

from foldseg.config.schema import Data
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError


def data(root: Path, **more: object) -> Data:
    return Data.model_validate(
        {"dataset": "camvid", "root": root, "folds": root.parent / "f.csv", "fold_count": 2} | more
    )


def test_making_the_same_folds_again_changes_nothing(camvid_root: Path):
    make_folds_file(data(camvid_root))
    before = (camvid_root.parent / "f.csv").read_bytes()
    make_folds_file(data(camvid_root))
    assert (camvid_root.parent / "f.csv").read_bytes() == before


def test_a_folds_file_that_divides_otherwise_is_not_overwritten(camvid_root: Path):
    make_folds_file(data(camvid_root))
    before = (camvid_root.parent / "f.csv").read_bytes()
    with pytest.raises(FoldsegError, match=r"f\.csv: exists and divides the data in another way"):
        make_folds_file(data(camvid_root, fold_splits=("train", "val")))
    assert (camvid_root.parent / "f.csv").read_bytes() == before


def test_a_missing_folds_file_is_refused_with_the_command_that_makes_it(
    camvid_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    configs = tmp_path / "configs/data"
    configs.mkdir(parents=True)
    (configs / "broken.yaml").write_text("data: [")
    (configs / "mine.yaml").write_text("data: {dataset: camvid, root: elsewhere, folds: folds/mine.csv}\n")
    with pytest.raises(
        FoldsegError, match=r"folds/mine\.csv: no .*; make it with foldseg folds configs/data/mine\.yaml$"
    ):
        _ = DataSet(data(camvid_root, folds="folds/mine.csv")).folded
    with pytest.raises(FoldsegError, match=r"f\.csv: no such folds file; make it with foldseg folds$"):
        _ = DataSet(data(camvid_root)).folded


def test_toy_city_is_built_once_when_its_root_is_missing(tmp_path: Path):
    toy = {"kind": "toy_city", "width": 64, "height": 48, "train_frames": 4, "test_frames": 1}
    city = data(tmp_path / "city", dataset=toy, labels="scored")
    assert len(DataSet(city).samples) == 5
    before = (tmp_path / "city/seg_train_images/train_0000.jpg").stat().st_mtime_ns
    assert len(DataSet(city).samples) == 5
    assert (tmp_path / "city/seg_train_images/train_0000.jpg").stat().st_mtime_ns == before
    assert DataSet(city).labels.names == ["background", "car", "pedestrian", "lane", "signal"]

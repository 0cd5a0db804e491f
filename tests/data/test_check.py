"""All problems of a data set are found in one pass, each kind once, with its cure. What was checked is remembered."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.config.schema import Data
from foldseg.data import check
from foldseg.data.check import check_data, require_valid
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError
from tiny_data import write_blobs


def open_blobs(root: Path, **settings: object) -> DataSet:
    files = {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}}
    dataset = {"kind": "folders", "classes": {"background": 0, "blob": 255}, "splits": files}
    content = {"dataset": dataset, "root": root, "folds": root / "folds.csv", "fold_count": 2, **settings}
    return DataSet(Data.model_validate(content))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLDSEG_CACHE", str(tmp_path / "cache"))
    write_blobs(tmp_path / "blobs")
    return tmp_path / "blobs"


def test_data_without_problems_has_a_table_of_its_classes(root: Path) -> None:
    found = check_data(open_blobs(root))
    assert not found.problems
    assert not found.remarks
    assert found.classes["class"].tolist() == ["background", "blob", "(void)"]
    assert found.classes["images"].tolist() == [10, 10, 0]
    assert found.classes["share"].sum() == pytest.approx(1)


def spoil(root: Path) -> None:
    """Give two masks grey edges, one another size, and cut an image short."""
    for name in ("b1", "b2"):
        mask = cv2.imread(str(root / f"masks/{name}.png"), 0)
        assert mask is not None
        cv2.imwrite(str(root / f"masks/{name}.png"), cv2.GaussianBlur(mask, (0, 0), 1.0))
    cv2.imwrite(str(root / "masks/b3.png"), np.zeros((24, 32), np.uint8))
    content = (root / "images/b4.png").read_bytes()
    (root / "images/b4.png").write_bytes(content[: len(content) // 2])


def test_problems_of_one_kind_are_one_line_with_the_cure(root: Path) -> None:
    spoil(root)
    found = check_data(open_blobs(root))
    assert [problem.ids for problem in found.problems] == [["b1", "b2"], ["b3"], ["b4"]]
    text = found.describe_problems()
    assert "set data.pictures.mask_threshold=128" in text
    assert "and 1 more: b2" in text
    assert "is 32x24, its image" in text
    assert "data.pictures.resize_masks=true" in text
    assert "cut short" in text
    assert found.bad_images["id"].tolist() == ["b1", "b2", "b3", "b4"]


def test_the_cures_that_are_named_cure(root: Path) -> None:
    spoil(root)
    pictures = {"mask_threshold": 128, "resize_masks": True}
    found = check_data(open_blobs(root, pictures=pictures))
    assert [problem.ids for problem in found.problems] == [["b4"]]
    (root / "bad.csv").write_text(found.bad_images.to_csv(index=False))
    assert len(make_folds_file(open_blobs(root, pictures=pictures, exclude=root / "bad.csv").settings)) == 9


def test_folds_are_not_made_of_data_with_problems(root: Path) -> None:
    spoil(root)
    with pytest.raises(FoldsegError, match=r"4 of 10 images cannot be used:(.|\n)*mask_threshold=128"):
        make_folds_file(open_blobs(root).settings)
    assert not (root / "folds.csv").exists()


def test_what_was_checked_is_not_read_again_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = check.check_data

    def count(data: DataSet) -> check.DataCheck:
        calls.append(data)
        return original(data)

    monkeypatch.setattr(check, "check_data", count)
    require_valid(open_blobs(root))
    require_valid(open_blobs(root))
    assert len(calls) == 1
    spoil(root)
    with pytest.raises(FoldsegError):
        require_valid(open_blobs(root))
    with pytest.raises(FoldsegError):
        require_valid(open_blobs(root))
    assert len(calls) == 3


def test_other_settings_of_reading_are_checked_again(root: Path) -> None:
    require_valid(open_blobs(root))
    with pytest.raises(FoldsegError, match="unknown ids"):
        dataset = {
            "kind": "folders",
            "classes": {"background": 0, "blob": 1},
            "splits": {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}},
        }
        require_valid(open_blobs(root, dataset=dataset))


def test_copies_and_classes_that_never_occur_are_remarked(root: Path) -> None:
    (root / "images/b1.png").write_bytes((root / "images/b0.png").read_bytes())
    dataset = {
        "kind": "folders",
        "classes": {"background": 0, "blob": 255, "rare": 7},
        "splits": {"train": {"images": "images/{id}.png", "masks": "masks/{id}.png"}},
    }
    remarks = "\n".join(check_data(open_blobs(root, dataset=dataset)).remarks)
    assert "1 image(s) are exact copies of others, e.g. b0 and b1" in remarks
    assert "no mask has the class rare" in remarks

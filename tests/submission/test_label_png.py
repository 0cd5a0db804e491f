"""Submissions as PNGs of raw ids."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.data import camvid, signate
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.submission import label_png


def random_mask(labels: LabelSet, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, len(labels), size, dtype=np.uint8)


@pytest.mark.parametrize(
    "labels",
    [camvid.LABELS, camvid.LABELS.select(["car", "road"]), signate.LABELS, signate.LABELS.select("scored")],
    ids=len,
)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (31, 17)])
def test_masks_come_back(tmp_path: Path, labels: LabelSet, size: tuple[int, int]) -> None:
    """Defect 3: encode -> decode identity, through the file."""
    masks = {name: random_mask(labels, size, seed) for seed, name in enumerate("ab")}
    label_png.write(tmp_path / "out", masks.items(), labels)
    submission = label_png.Submission(tmp_path / "out", labels)
    for name, expected in masks.items():
        assert np.array_equal(submission.read(name, size), expected)


def test_files_hold_raw_ids_in_8_bits_and_one_channel(tmp_path: Path) -> None:
    labels = camvid.LABELS.select(["car", "road"])  # background, car (raw 8), road (raw 3)
    label_png.write(tmp_path, [("a", np.array([[1, 2, 255]], np.uint8))], labels)
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint8
    assert stored.tolist() == [[8, 3, 11]]


def test_names_are_the_ids_of_the_files(tmp_path: Path) -> None:
    label_png.write(tmp_path, [(name, np.zeros((2, 2), np.uint8)) for name in ("b.1", "a")], camvid.LABELS)
    (tmp_path / "readme.txt").write_text("no prediction")
    assert label_png.Submission(tmp_path, camvid.LABELS).names == ["a", "b.1"]


def test_files_of_a_former_call_are_removed(tmp_path: Path) -> None:
    mask = np.zeros((2, 2), np.uint8)
    label_png.write(tmp_path, [("old", mask), ("both", mask)], camvid.LABELS)
    (tmp_path / "notes.txt").write_text("kept")
    label_png.write(tmp_path, [("both", mask), ("new", mask)], camvid.LABELS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.png", "new.png", "notes.txt"]


def test_a_file_of_another_size_is_named(tmp_path: Path) -> None:
    label_png.write(tmp_path, [("a", np.zeros((2, 3), np.uint8))], camvid.LABELS)
    with pytest.raises(FoldsegError, match=r"a\.png: is \(2, 3\), the image \(3, 2\)"):
        label_png.Submission(tmp_path, camvid.LABELS).read("a", (3, 2))


def test_an_id_that_is_no_class_is_named(tmp_path: Path) -> None:
    label_png.write_png(tmp_path / "a.png", np.full((2, 2), 77, np.uint8))
    with pytest.raises(FoldsegError, match=r"a\.png: holds unknown ids \[77\]"):
        label_png.Submission(tmp_path, camvid.LABELS).read("a", None)


def test_an_index_that_is_no_class_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are no classes"):
        label_png.write(tmp_path, [("a", np.array([[11]], np.uint8))], camvid.LABELS)
    assert not (tmp_path / "a.png").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="nothing: no such folder"):
        label_png.Submission(tmp_path / "nothing", camvid.LABELS)

"""More images to train on: paired, checked, and never those that a fold is validated on."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from foldseg.config.schema import Source
from foldseg.data import camvid
from foldseg.data.extra_images import open_source_frames
from foldseg.data.hashes import hash_files
from foldseg.errors import FoldsegError

LABELS = camvid.LABELS.select(["road", "car"])


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three images, their raw masks (3 is road, 8 is car), and masks of indices for fold 0 of pseudo labels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "raw", "pseudo/fold_0"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"images/{name}.jpg"), rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / f"raw/{name}.png"), rng.choice(np.array([3, 8, 0, 11], np.uint8), (20, 30)))
        index = rng.choice(np.array([0, 1, 2, 255], np.uint8), (20, 30))
        cv2.imwrite(str(tmp_path / f"pseudo/fold_0/{name}.png"), index)
    (tmp_path / "images/notes.txt").write_text("no image")
    describe(tmp_path)
    return tmp_path


def describe(folder: Path, **other: object) -> None:
    facts = {"fold": 0, "classes": LABELS.names, "data_fingerprint": "abc"} | other
    (folder / "pseudo/fold_0/pseudo.json").write_text(json.dumps(facts))


def source(folder: Path, masks: str = "raw", encoding: str = "raw") -> Source:
    return Source(images=folder / "images", masks=folder / masks, encoding=encoding)  # type: ignore[arg-type]


def test_raw_masks_are_read_like_the_data_sets_own(folders: Path) -> None:
    frames = open_source_frames(source(folders), 0, LABELS, (), "abc")
    assert frames.ids == ("a", "b", "c")
    raw = cv2.imread(str(folders / "raw/b.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(frames.read(1)[1], LABELS.encode(raw))


def test_index_masks_are_taken_as_they_are_and_belong_to_a_fold(folders: Path) -> None:
    frames = open_source_frames(source(folders, "pseudo/fold_{fold}", "index"), 0, LABELS, (), "abc")
    index = cv2.imread(str(folders / "pseudo/fold_0/c.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(frames.read(2)[1], index)
    with pytest.raises(FoldsegError, match=r"pseudo/fold_1: no such folder"):
        open_source_frames(source(folders, "pseudo/fold_{fold}", "index"), 1, LABELS, (), "abc")


def test_an_index_that_is_no_class_is_named_before_training(folders: Path) -> None:
    with pytest.raises(FoldsegError, match=r"raw/a\.png: holds \[3, 8, 11\]; expected class indices 0 to 2, and 255"):
        open_source_frames(source(folders, "raw", "index"), 0, LABELS, (), "abc")


def test_images_that_are_held_out_are_never_trained_on(folders: Path) -> None:
    assert open_source_frames(source(folders), 0, LABELS, {"b", "x"}, "abc").ids == ("a", "c")
    with pytest.raises(FoldsegError, match="holds no image that fold 0 may be trained on"):
        open_source_frames(source(folders), 0, LABELS, {"a", "b", "c"}, "abc")


def test_pseudo_labels_of_another_fold_classes_or_division_are_refused(folders: Path) -> None:
    pseudo = source(folders, "pseudo/fold_0", "index")
    with pytest.raises(FoldsegError, match=r"labels are for fold 0, .*; write \{fold\} in sampling\.sources\.masks"):
        open_source_frames(pseudo, 1, LABELS, (), "abc")
    with pytest.raises(FoldsegError, match="is of the classes background, road, car; expected background, car, road"):
        open_source_frames(pseudo, 0, camvid.LABELS.select(["car", "road"]), (), "abc")
    with pytest.raises(FoldsegError, match="another division into folds; label anew"):
        open_source_frames(pseudo, 0, LABELS, (), "other")


def test_pseudo_labels_of_other_pictures_or_another_label_set_are_refused(folders: Path) -> None:
    pseudo = source(folders, "pseudo/fold_0", "index")
    images = sorted((folders / "images").glob("*.jpg"))
    pictures = dict(zip("abc", hash_files(images), strict=True))
    describe(folders, pictures=pictures, labels=LABELS.definition)
    assert open_source_frames(pseudo, 0, LABELS, (), "abc").ids == ("a", "b", "c")
    images[1].write_bytes(images[2].read_bytes())
    with pytest.raises(FoldsegError, match=r"1 image changed after being labelled, e\.g\. .*images/b\.jpg; label anew"):
        open_source_frames(pseudo, 0, LABELS, (), "abc")
    describe(folders, labels=LABELS.definition | {"car": "raw ids 9"})
    with pytest.raises(FoldsegError, match=r"label set was another .*: car: raw ids 9 became raw ids 8, scored; label"):
        open_source_frames(pseudo, 0, LABELS, (), "abc")


def test_what_does_not_pair_is_named(folders: Path) -> None:
    (folders / "raw/b.png").unlink()
    with pytest.raises(FoldsegError, match=r"images/b\.jpg: has no mask"):
        open_source_frames(source(folders), 0, LABELS, (), "abc")


def test_a_mask_of_another_size_is_found_before_training(folders: Path) -> None:
    cv2.imwrite(str(folders / "raw/b.png"), np.zeros((20, 31), np.uint8))
    with pytest.raises(FoldsegError, match=r"raw/b\.png: is 31x20, its image .* is 30x20"):
        open_source_frames(source(folders), 0, LABELS, (), "abc")

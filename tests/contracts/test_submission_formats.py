"""What every submission format promises."""

from pathlib import Path

import numpy as np
import pytest

from foldseg.data.labels import LabelClass, LabelSet, Mask
from foldseg.data.rle import EMPTY_RLE, Rle, decode_rle, encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission.formats import (
    FORMATS,
    check_classes,
    check_overlap,
    check_submission,
    format_of,
    open_submission,
)
from foldseg.submission.interface import Submission

LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (2 * i,), scored=i > 0) for i in range(5)))
SIZES = {"a": (2, 3), "b": (4, 5), "b.1": (1, 1), "c 2": (17, 9)}
every_format = pytest.mark.parametrize("name", FORMATS)


def write(folder: Path, name: str, ids: list[str]) -> tuple[Path, dict[str, Mask]]:
    """Write random masks as a submission; return its path and the masks."""
    rng = np.random.default_rng(0)
    masks = {i: rng.integers(0, len(LABELS), SIZES.get(i, (2, 2)), dtype=np.uint8) for i in ids}
    path = folder / FORMATS[name].file_name
    FORMATS[name].write(path, masks.items(), LABELS)
    return path, masks


def read(submission: Submission, name: str) -> Mask:
    """Read class indices; where a file holds the scored classes alone, all other pixels are of class 0."""
    found = submission.read(name, SIZES[name])
    if isinstance(found, np.ndarray):
        return found
    mask = np.zeros(SIZES[name], np.uint8)
    for index, runs in enumerate(found):
        mask[decode_rle(runs, SIZES[name])] = index
    return mask


@every_format
def test_random_masks_come_back(tmp_path: Path, name: str) -> None:
    path, masks = write(tmp_path, name, list(SIZES))
    submission = open_submission(path, LABELS)
    for image, expected in masks.items():
        assert read(submission, image).tolist() == expected.tolist()
    check_submission(path, SIZES, LABELS)


@every_format
def test_the_same_masks_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    contents = []
    for folder in ("first", "second"):
        path, _ = write(tmp_path / folder, name, list(SIZES))
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


@every_format
def test_ids_are_sorted(tmp_path: Path, name: str) -> None:
    assert open_submission(write(tmp_path, name, list(SIZES))[0], LABELS).names == sorted(SIZES)


@every_format
def test_a_submission_is_recognised_by_its_format_alone(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path, name, ["a"])
    assert format_of(path) is FORMATS[name]
    assert not FORMATS[name].recognises(tmp_path / "nothing")


def test_formats_do_not_share_the_name_of_a_file() -> None:
    assert len({kind.file_name for kind in FORMATS.values()}) == len(FORMATS)


@every_format
def test_categories_overlap_where_the_format_says_so(tmp_path: Path, name: str) -> None:
    if not FORMATS[name].may_overlap:
        with pytest.raises(FoldsegError, match=f"submission {name} gives every pixel one class: use .* or hand in "):
            check_overlap(name, may_overlap=True)
        return
    check_overlap(name, may_overlap=True)
    masks = np.random.default_rng(0).random((len(LABELS), 4, 5)) < 0.5
    pairs = zip(masks, LABELS.classes, strict=True)
    runs: list[Rle] = [encode_mask(mask) if label.scored else EMPTY_RLE for mask, label in pairs]
    path = tmp_path / FORMATS[name].file_name
    FORMATS[name].write(path, [("b", runs)], LABELS)
    found = open_submission(path, LABELS).read("b", SIZES["b"])
    assert [part.tolist() for part in found] == [part.tolist() for part in runs]


@every_format
def test_a_class_of_several_raw_ids_is_refused_unless_it_can_be_said(name: str) -> None:
    merged = LABELS.select(["c1", "c2"])
    if FORMATS[name].has_merged_classes:
        check_classes(name, merged)
    else:
        with pytest.raises(FoldsegError, match=f"{name} cannot say background, which stands for several classes"):
            check_classes(name, merged)
    check_classes(name, LABELS)


@every_format
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a"], r"1 image\(s\) are missing \(b\), 0 are not asked for"),
        (["a", "b", "c"], r"0 image\(s\) are missing \(\), 1 are not asked for \(c\)"),
    ],
)
def test_missing_and_surplus_images_are_named(tmp_path: Path, name: str, ids: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        check_submission(write(tmp_path, name, ids)[0], {"a": SIZES["a"], "b": SIZES["b"]}, LABELS)


@every_format
def test_images_of_another_size_are_refused(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path, name, ["a", "b"])
    with pytest.raises(FoldsegError):
        check_submission(path, {"a": (2, 3), "b": (2, 2)}, LABELS)

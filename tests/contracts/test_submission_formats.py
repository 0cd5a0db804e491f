"""What every submission format promises, with all settings that its kind has as examples."""

from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema.submissions import SubmissionKind
from foldseg.data.labels import LabelClass, LabelSet, Mask
from foldseg.data.rle import EMPTY_RLE, Rle, decode_rle, encode_mask
from foldseg.errors import FoldsegError
from foldseg.submission.formats import (
    FORMATS,
    check_classes,
    check_overlap,
    check_submission,
    find_kind,
    open_submission,
)
from foldseg.submission.interface import Format, KnownImages, Submission

LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (2 * i,), scored=i > 0) for i in range(5)))
BITS = LabelSet(tuple(LabelClass(f"c{i}", (i + 1, 0, 0), (1 << i, 7)) for i in range(3)), overlapping=True)
SIZES = {"a": (2, 3), "b": (4, 5), "b.1": (1, 1), "c 2": (17, 9)}
IMAGES = KnownImages({name: Path(f"images/{name}.jpg") for name in SIZES}, SIZES)
SETTINGS = [settings for kind in FORMATS for settings in kind.examples()]
every_format = pytest.mark.parametrize(
    "settings", SETTINGS, ids=[f"{one.kind}-{index}" for index, one in enumerate(SETTINGS)]
)


def format_of(settings: SubmissionKind) -> Format:
    return FORMATS[type(settings)]


def write(folder: Path, settings: SubmissionKind, ids: list[str]) -> tuple[Path, dict[str, Mask]]:
    """Write random masks as a submission; return its path and the masks."""
    rng = np.random.default_rng(0)
    masks = {i: rng.integers(0, len(LABELS), SIZES.get(i, (2, 2)), dtype=np.uint8) for i in ids}
    path = folder / format_of(settings).file_name
    format_of(settings).write(settings, path, masks.items(), LABELS, KnownImages(sizes=SIZES))
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
def test_random_masks_come_back(tmp_path: Path, settings: SubmissionKind) -> None:
    path, masks = write(tmp_path, settings, list(SIZES))
    submission = open_submission(path, LABELS, settings)
    for image, expected in masks.items():
        assert read(submission, image).tolist() == expected.tolist()
    check_submission(path, SIZES, LABELS, settings, IMAGES)


@every_format
def test_the_same_masks_give_the_same_bytes(tmp_path: Path, settings: SubmissionKind) -> None:
    contents = []
    for folder in ("first", "second"):
        path, _ = write(tmp_path / folder, settings, list(SIZES))
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1] and contents[0]


@every_format
def test_what_an_earlier_call_left_is_removed(tmp_path: Path, settings: SubmissionKind) -> None:
    write(tmp_path, settings, ["a", "c 2"])
    path, _ = write(tmp_path, settings, ["a", "b"])
    assert open_submission(path, LABELS, settings).names == ["a", "b"]


@every_format
def test_ids_are_sorted(tmp_path: Path, settings: SubmissionKind) -> None:
    assert open_submission(write(tmp_path, settings, list(SIZES))[0], LABELS, settings).names == sorted(SIZES)


@every_format
def test_a_submission_is_recognised_by_its_format_alone(tmp_path: Path, settings: SubmissionKind) -> None:
    path, _ = write(tmp_path, settings, ["a"])
    assert find_kind(path) is type(settings)
    assert not format_of(settings).recognises(tmp_path / "nothing")


def test_formats_do_not_share_the_name_of_a_file() -> None:
    assert len({entry.file_name for entry in FORMATS.values()}) == len(FORMATS)


@every_format
def test_every_kind_has_defaults(settings: SubmissionKind) -> None:
    """A submission outside of an ensemble's folder is read with them."""
    assert type(settings).model_validate({}) == type(settings).examples()[0]


@every_format
def test_categories_overlap_where_the_format_says_so(tmp_path: Path, settings: SubmissionKind) -> None:
    entry = format_of(settings)
    if not entry.may_overlap(settings):
        says = f"submission {settings.kind} gives every pixel one class: use .* or hand in "
        with pytest.raises(FoldsegError, match=says):
            check_overlap(settings, may_overlap=True)
        says = f"{settings.kind} gives every pixel one class, and the classes of this data set overlap; hand in "
        with pytest.raises(FoldsegError, match=says):
            check_classes(settings, BITS)
        return
    check_overlap(settings, may_overlap=True)
    masks = np.random.default_rng(0).random((len(LABELS), 4, 5)) < 0.5
    pairs = zip(masks, LABELS.classes, strict=True)
    runs: list[Rle] = [encode_mask(mask) if label.scored else EMPTY_RLE for mask, label in pairs]
    path = tmp_path / entry.file_name
    entry.write(settings, path, [("b", runs)], LABELS, KnownImages(sizes=SIZES))
    found = open_submission(path, LABELS, settings).read("b", SIZES["b"])
    assert [part.tolist() for part in found[1:]] == [part.tolist() for part in runs[1:]]


@every_format
def test_class_bits_come_back_where_classes_may_overlap(tmp_path: Path, settings: SubmissionKind) -> None:
    entry = format_of(settings)
    if not entry.may_overlap(settings):
        return
    check_classes(settings, BITS)
    bits = np.random.default_rng(0).integers(0, 8, SIZES["b"], dtype=np.uint8)
    path = tmp_path / entry.file_name
    entry.write(settings, path, [("b", bits)], BITS, KnownImages(sizes=SIZES))
    found = open_submission(path, BITS, settings).read("b", SIZES["b"])
    planes = np.stack([decode_rle(rle, SIZES["b"]) for rle in found])
    assert BITS.pack_planes(planes).tolist() == bits.tolist()


@every_format
def test_a_class_of_several_raw_ids_is_refused_unless_it_can_be_said(settings: SubmissionKind) -> None:
    merged = LABELS.select(["c1", "c2"])
    if format_of(settings).list_unwritable(settings, merged):
        says = f"{settings.kind} cannot say background, which stands for several classes .* or hand in "
        with pytest.raises(FoldsegError, match=says):
            check_classes(settings, merged)
    else:
        check_classes(settings, merged)
    check_classes(settings, LABELS)


@every_format
def test_only_what_a_file_says_is_claimed(tmp_path: Path, settings: SubmissionKind) -> None:
    """Where a format does not state that it holds the scored classes alone, every class comes back."""
    path, masks = write(tmp_path, settings, ["c 2"])
    found = open_submission(path, LABELS, settings).read("c 2", SIZES["c 2"])
    planes = (
        LABELS.class_planes(found)
        if isinstance(found, np.ndarray)
        else np.stack([decode_rle(rle, SIZES["c 2"]) for rle in found])
    )
    expected = LABELS.class_planes(masks["c 2"])
    if format_of(settings).has_scored_classes_alone(settings, LABELS):
        assert planes[1:].tolist() == expected[1:].tolist()
    else:
        assert planes.tolist() == expected.tolist()


@every_format
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a"], r"1 image\(s\) are missing \(b\), 0 are not asked for"),
        (["a", "b", "c"], r"0 image\(s\) are missing \(\), 1 are not asked for \(c\)"),
    ],
)
def test_missing_and_surplus_images_are_named(
    tmp_path: Path, settings: SubmissionKind, ids: list[str], says: str
) -> None:
    with pytest.raises(FoldsegError, match=says):
        check_submission(write(tmp_path, settings, ids)[0], {"a": SIZES["a"], "b": SIZES["b"]}, LABELS, settings)


@every_format
def test_images_of_another_size_are_refused(tmp_path: Path, settings: SubmissionKind) -> None:
    path, _ = write(tmp_path, settings, ["a", "b"])
    with pytest.raises(FoldsegError):
        check_submission(path, {"a": (2, 3), "b": (2, 2)}, LABELS, settings)

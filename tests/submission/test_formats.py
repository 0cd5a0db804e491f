"""Formats by name, and the check that every submission goes through."""

from pathlib import Path

import numpy as np
import pytest

from foldseg.data import signate
from foldseg.errors import FoldsegError
from foldseg.submission import label_png, signate_json
from foldseg.submission.formats import FORMATS, check_submission, format_of, missing_ids, open_submission

LABELS = signate.LABELS.view("scored")
SIZES = {"a": (2, 3), "b": (4, 5)}


def write(folder: Path, name: str, ids: list[str]) -> Path:
    path = folder / FORMATS[name].file_name
    FORMATS[name].write(path, [(i, np.ones(SIZES.get(i, (2, 2)), np.uint8)) for i in ids], LABELS)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_good_submission_passes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, ["a", "b"])
    assert format_of(path) is FORMATS[name]
    assert open_submission(path, LABELS).names == ["a", "b"]
    check_submission(path, SIZES, LABELS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a"], r"1 image\(s\) are missing \(b\), 0 are not asked for"),
        (["a", "b", "c"], r"0 image\(s\) are missing \(\), 1 are not asked for \(c\)"),
    ],
)
def test_missing_and_surplus_images_are_named(tmp_path: Path, name: str, ids: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        check_submission(write(tmp_path, name, ids), SIZES, LABELS)


def test_missing_images_may_be_allowed_unknown_ones_never() -> None:
    assert missing_ids(Path("s"), ["b"], ["c", "a", "b"], allow_missing=True) == ["a", "c"]
    with pytest.raises(FoldsegError, match=r"1 are not asked for \(d\)"):
        missing_ids(Path("s"), ["b", "d"], ["a", "b"], allow_missing=True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_submission_of_images_of_another_size_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, ["a", "b"])
    with pytest.raises(FoldsegError):
        check_submission(path, SIZES | {"b": (4, 4)}, LABELS)


@pytest.mark.parametrize("name", ["nothing", "nothing.json", "a.csv"])
def test_what_is_no_submission_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(FoldsegError, match=f"{name}: is no submission; expected a folder of PNGs or a .json file"):
        format_of(tmp_path / name)


def test_the_formats_of_the_configuration_are_all_there() -> None:
    named = {"signate_json": signate_json.FORMAT, "label_png": label_png.FORMAT}
    assert named == FORMATS

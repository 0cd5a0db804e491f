"""Formats by name, and the check that every submission goes through."""

import re
import shutil
from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.submission import label_png
from foldseg.submission.formats import FORMATS, find_missing_ids, format_of
from foldseg.submission.interface import Format


def test_missing_images_may_be_allowed_unknown_ones_never() -> None:
    assert find_missing_ids(Path("s"), ["b"], ["c", "a", "b"], allow_missing=True) == ["a", "c"]
    with pytest.raises(FoldsegError, match=r"1 are not asked for \(d\)"):
        find_missing_ids(Path("s"), ["b", "d"], ["a", "b"], allow_missing=True)


def test_what_is_no_submission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    expected = " or ".join(kind.description for kind in reversed(FORMATS.values()))
    with pytest.raises(FoldsegError, match=re.escape(f"a.csv: is no submission; expected {expected}")):
        format_of(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["nothing", "nothing.json"])
def test_a_path_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FoldsegError, match=re.escape(f"{name}: no such file or folder")):
        format_of(tmp_path / name)


def test_the_folder_of_an_ensemble_is_refused_with_the_submission_in_it(tmp_path: Path) -> None:
    labels, other = tmp_path / "labels", tmp_path / "submission.json"
    labels.mkdir()
    (labels / "a.png").touch()
    with pytest.raises(FoldsegError, match=re.escape(f"{tmp_path}: is no submission; its submission is {labels}")):
        format_of(tmp_path)
    shutil.rmtree(labels)
    other.touch()
    with pytest.raises(FoldsegError, match=re.escape(f"{tmp_path}: is no submission; its submission is {other}")):
        format_of(tmp_path)


def test_what_two_formats_recognise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "other", label_png.FORMAT)
    with pytest.raises(
        FoldsegError, match=r"may be a submission of any of the formats label_png, other; .*`recognises`"
    ):
        format_of(tmp_path)


def test_a_format_that_does_not_state_everything_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match="may_overlap"):
        Format(file_name="x", description="x", recognises=Path.is_dir, write=label_png.write, open=label_png.Submission)  # type: ignore[call-arg]

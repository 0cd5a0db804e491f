"""Formats by name, and the check that every submission goes through."""

import re
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


@pytest.mark.parametrize("name", ["nothing", "nothing.json", "a.csv"])
def test_what_is_no_submission_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("x")
    expected = " or ".join(kind.description for kind in reversed(FORMATS.values()))
    with pytest.raises(FoldsegError, match=re.escape(f"{name}: is no submission; expected {expected}")):
        format_of(tmp_path / name)


def test_what_two_formats_recognise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "other", label_png.FORMAT)
    with pytest.raises(
        FoldsegError, match=r"may be a submission of any of the formats label_png, other; .*`recognises`"
    ):
        format_of(tmp_path)


def test_a_format_that_does_not_state_everything_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match="may_overlap"):
        Format(file_name="x", description="x", recognises=Path.is_dir, write=label_png.write, open=label_png.Submission)  # type: ignore[call-arg]

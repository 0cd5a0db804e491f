"""Formats by name, and the check that every submission goes through."""

import re
import shutil
from pathlib import Path

import pytest

from foldseg.config import Ensemble, save
from foldseg.config.schema.submissions import ColourPng, LabelPng, RunLength
from foldseg.errors import FoldsegError
from foldseg.submission import label_png
from foldseg.submission.formats import FORMATS, find_kind, find_missing_ids, find_settings
from foldseg.submission.interface import Format


def test_missing_images_may_be_allowed_unknown_ones_never() -> None:
    assert find_missing_ids(Path("s"), ["b"], ["c", "a", "b"], allow_missing=True) == ["a", "c"]
    with pytest.raises(FoldsegError, match=r"1 are not asked for \(d\)"):
        find_missing_ids(Path("s"), ["b", "d"], ["a", "b"], allow_missing=True)


def test_what_is_no_submission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    expected = " or ".join(kind.description for kind in FORMATS.values())
    with pytest.raises(FoldsegError, match=re.escape(f"a.txt: is no submission; expected {expected}")):
        find_kind(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["nothing", "nothing.json"])
def test_a_path_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FoldsegError, match=re.escape(f"{name}: no such file or folder")):
        find_kind(tmp_path / name)


def test_the_folder_of_an_ensemble_is_refused_with_the_submission_in_it(tmp_path: Path) -> None:
    labels, other = tmp_path / "labels", tmp_path / "submission.json"
    for name in ("score.json", "summary.png"):
        (tmp_path / name).touch()
    labels.mkdir()
    (labels / "a.png").touch()
    with pytest.raises(
        FoldsegError, match=re.escape(f"{tmp_path}: is the folder of an ensemble; its submission is {labels}")
    ):
        find_kind(tmp_path)
    shutil.rmtree(labels)
    other.touch()
    with pytest.raises(
        FoldsegError, match=re.escape(f"{tmp_path}: is the folder of an ensemble; its submission is {other}")
    ):
        find_kind(tmp_path)


def test_what_two_formats_recognise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, ColourPng, label_png.FORMAT)
    with pytest.raises(
        FoldsegError, match=r"may be a submission of any of the formats label_png, colour_png; .*`recognises`"
    ):
        find_kind(tmp_path)


def test_a_format_that_does_not_state_everything_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match="may_overlap"):
        Format(file_name="x", description="x", recognises=Path.is_dir, write=None, open=None)  # type: ignore[call-arg, arg-type]


def test_the_folder_of_an_ensemble_says_how_its_submission_is_written(tmp_path: Path) -> None:
    settings = RunLength(direction="rows", base=0)
    ensemble = Ensemble.model_validate(
        {"name": "e", "members": [{"experiment": "x"}], "submission": settings.model_dump(mode="json")}
    )
    (tmp_path / "submission.csv").write_text("id,rle\n")
    assert find_settings(tmp_path / "submission.csv") == RunLength()  # not finished, so it may be of anything
    save(ensemble, tmp_path / "config.yaml")
    (tmp_path / "score.json").touch()
    assert find_settings(tmp_path / "submission.csv") == settings
    (tmp_path / "other.csv").write_text("id,rle\n")
    assert find_settings(tmp_path / "other.csv") == RunLength()


def test_the_settings_of_an_older_submission_are_its_format_alone(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "config/older/fitted.yaml", tmp_path / "config.yaml")
    (tmp_path / "score.json").touch()
    (tmp_path / "labels").mkdir()
    assert find_settings(tmp_path / "labels") == LabelPng()

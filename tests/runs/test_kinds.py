"""One function says what a path is, and names what was expected."""

from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.exported_file import ExportedFile
from foldseg.runs.kinds import may_hold_run, may_hold_submission, open_run, open_runs, recognise, require_kind
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder


def made(folder: Path, **files: str) -> Path:
    """Write files into a folder; `config_yaml` stands for config.yaml."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An experiment of two folds, which have begun, and a folder beside them."""
    for fold in (10, 9):
        made(tmp_path / f"runs/x/fold_{fold}", config_yaml="seed: 1", provenance_json="{}")
    made(tmp_path / "runs/x/fold_9-old")
    return tmp_path / "runs/x"


def test_each_kind_is_recognised(runs: Path, tmp_path: Path) -> None:
    assert recognise(runs) == ExperimentFolder(runs)
    assert recognise(runs / "fold_9") == RunFolder(runs / "fold_9")
    submission = made(tmp_path / "submissions/y", config_yaml="members: []")
    assert recognise(submission) == SubmissionFolder(submission)
    assert recognise(tmp_path / "x.onnx") == ExportedFile(tmp_path / "x.onnx")


def test_unfinished_ones_are_what_they_will_be(tmp_path: Path) -> None:
    run = made(tmp_path / "fold_0", config_yaml="seed: 1")
    assert recognise(run) == RunFolder(run)
    scored = made(tmp_path / "y", score_json="{}")
    assert recognise(scored) == SubmissionFolder(scored)


def test_all_else_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "nowhere"):
        assert recognise(path) is None


def test_folds_are_in_the_order_of_their_numbers(runs: Path) -> None:
    assert list(ExperimentFolder(runs).runs) == [9, 10]


def test_the_error_says_what_there_is_and_what_was_expected(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match=r"x: is an experiment; expected a run \(runs/x/fold_0\)$"):
        open_run(runs)
    with pytest.raises(FoldsegError, match=r"nowhere: is neither a run nor an experiment: it does not exist; expected"):
        open_runs(tmp_path / "nowhere")
    expected = r"is something else; expected a run \(.*\), an experiment \(.*\) or a submission \(submissions/x\)"
    with pytest.raises(FoldsegError, match=expected):
        require_kind(tmp_path, RunFolder, ExperimentFolder, SubmissionFolder)


def test_a_run_is_not_written_over_a_submission_nor_the_other_way(runs: Path, tmp_path: Path) -> None:
    submission = made(tmp_path / "submissions/y", config_yaml="members: []")
    assert may_hold_run(runs / "fold_9") and may_hold_submission(submission)
    assert not may_hold_run(submission) and not may_hold_submission(runs / "fold_9")
    assert not may_hold_submission(made(tmp_path / "z", score_json="{}"))  # which anybody may have written

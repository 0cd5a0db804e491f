"""What a path is: a run, an experiment, a submission, an exported file, or nothing of foldseg's."""

from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.exported_file import ExportedFile
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder

OnDisk = RunFolder | ExperimentFolder | SubmissionFolder | ExportedFile

_NAMES: dict[type[OnDisk], tuple[str, str]] = {
    RunFolder: ("a run", "runs/x/fold_0"),
    ExperimentFolder: ("an experiment", "runs/x"),
    SubmissionFolder: ("a submission", "submissions/x"),
    ExportedFile: ("an exported file", "x.onnx"),
}
"""Kind -> what it is called, and an example of its path."""


def recognise(path: Path) -> OnDisk | None:
    """Return what a path is, finished or not; None if it is nothing of foldseg's. Nothing else in foldseg decides this.

    FoldsegError when the only sign is a config.yaml that cannot be read.
    """
    if path.suffix == ".onnx":
        return ExportedFile(path)
    run, submission, experiment = RunFolder(path), SubmissionFolder(path), ExperimentFolder(path)
    if run.provenance.is_file():
        return run
    if submission.is_finished or submission.oof.is_dir() or submission.has_settings:
        return submission
    if run.config.is_file():
        return run
    return experiment if experiment.runs else None


def require_kind(path: Path, *expected: type[OnDisk], problem: str = "") -> OnDisk:
    """Return what a path is. FoldsegError, which names what was expected, when it is none of the kinds `expected`.

    problem: what the error says first, if the reason alone is not enough: `holds no OOF predictions`.
    """
    kind = recognise(path)
    if isinstance(kind, expected):
        return kind
    if kind is not None:
        reason = f"is {_NAMES[type(kind)][0]}"
    else:
        reason = "is something else" if path.exists() else "does not exist"
    *others, last = [f"{name} ({example})" for name, example in (_NAMES[one] for one in expected)]
    wanted = f"{', '.join(others)} or {last}" if others else last
    raise FoldsegError(f"{path}: {f'{problem}: it {reason}' if problem else reason}; expected {wanted}")


def open_run(path: Path) -> RunFolder:
    """Return a finished run. FoldsegError when the path is something else, or the run is not finished."""
    if recognise(path) is not None:
        require_kind(path, RunFolder)
    return RunFolder.open(path)


def open_runs(path: Path) -> list[RunFolder]:
    """Return the run at `path`, or the runs of the experiment there. FoldsegError when one is not finished."""
    kind = require_kind(path, RunFolder, ExperimentFolder, problem="is neither a run nor an experiment")
    return kind.open_runs() if isinstance(kind, ExperimentFolder) else [RunFolder.open(path)]


def may_hold_run(folder: Path) -> bool:
    """Whether a folder that holds files is that of a run, so that a training may write there."""
    return isinstance(recognise(folder), RunFolder) and RunFolder(folder).config.is_file()


def may_hold_submission(folder: Path) -> bool:
    """Whether a folder that holds files is that of a submission, so that an ensemble may write there."""
    return isinstance(recognise(folder), SubmissionFolder) and SubmissionFolder(folder).has_settings

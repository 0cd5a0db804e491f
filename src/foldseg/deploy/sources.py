"""Opening what predicts pictures: a run, an experiment, a submission, an exported file.

Opening an exported file imports no torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from foldseg.deploy.exported import open_exported
from foldseg.deploy.interface import AS_REMEMBERED, Asked, Source
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.exported_file import ExportedFile
from foldseg.runs.kinds import OnDisk, require_kind
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder


def open_source(path: Path, asked: Asked = AS_REMEMBERED) -> Source:
    """Open a run's folder, an experiment's (the mean of its folds), a finished submission's or an exported .onnx file.

    FoldsegError when `path` is none of these, is not finished, or cannot predict as `asked`.
    """
    kind = require_kind(path, *SOURCES)
    return SOURCES[type(kind)](kind, asked)


def _open_run(run: RunFolder, asked: Asked) -> Source:
    from foldseg.deploy.networks import open_runs  # torch and what it brings take 12 s of processor time to import

    return open_runs([run.path], asked)


def _open_experiment(experiment: ExperimentFolder, asked: Asked) -> Source:
    from foldseg.deploy.networks import open_runs  # it imports torch, too

    return open_runs([run.path for run in experiment.runs.values()], asked)


def _open_submission(submission: SubmissionFolder, asked: Asked) -> Source:
    from foldseg.deploy.ensembles import open_ensemble  # it imports torch, too

    return open_ensemble(submission.path, asked)


def _open_exported(file: ExportedFile, asked: Asked) -> Source:
    return open_exported(file.path, asked)


SOURCES: dict[type[OnDisk], Callable[[Any, Asked], Source]] = {
    RunFolder: _open_run,
    ExperimentFolder: _open_experiment,
    SubmissionFolder: _open_submission,
    ExportedFile: _open_exported,
}
"""Kind of what is on disk -> the function that opens it as a source. To add one: its class, its sign in
`foldseg.runs.kinds.recognise`, a class like `Source`, and a line here.
"""

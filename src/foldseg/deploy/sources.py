"""Opening what predicts pictures: a run, an experiment, a submission, an exported file.

Opening an exported file imports no torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from foldseg.deploy.exported_source import open_exported_source
from foldseg.deploy.interface import DEFAULT_OPTIONS, PredictionOptions, Source
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.exported_file import ExportedFile
from foldseg.runs.kinds import OnDisk, require_kind
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder


def open_source(path: Path, options: PredictionOptions = DEFAULT_OPTIONS) -> Source:
    """Open a run's folder, an experiment's (the mean of its folds), a finished submission's or an exported .onnx file.

    FoldsegError when `path` is none of these, is not finished, or cannot predict with these options.
    """
    kind = require_kind(path, *SOURCES)
    return SOURCES[type(kind)](kind, options)


def _open_run(run: RunFolder, options: PredictionOptions) -> Source:
    # Not at the head of the module: torch and what it needs take 12 s of processor time to import
    from foldseg.deploy.runs_source import open_runs_source

    return open_runs_source([run.path], options)


def _open_experiment(experiment: ExperimentFolder, options: PredictionOptions) -> Source:
    from foldseg.deploy.runs_source import open_runs_source  # imports torch, too

    return open_runs_source([run.path for run in experiment.runs.values()], options)


def _open_submission(submission: SubmissionFolder, options: PredictionOptions) -> Source:
    from foldseg.deploy.ensemble_source import open_ensemble_source  # imports torch, too

    return open_ensemble_source(submission.path, options)


def _open_exported_file(file: ExportedFile, options: PredictionOptions) -> Source:
    return open_exported_source(file.path, options)


SOURCES: dict[type[OnDisk], Callable[[Any, PredictionOptions], Source]] = {
    RunFolder: _open_run,
    ExperimentFolder: _open_experiment,
    SubmissionFolder: _open_submission,
    ExportedFile: _open_exported_file,
}
"""Kind of what is on disk -> the function that opens it as a source. To add one: its class, its sign in
`foldseg.runs.kinds.recognise`, a class like `Source`, and a line here.
"""

"""The project of a bundle: the part of a project that predicting, or training, needs on another machine."""

import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foldseg.config import Experiment, save
from foldseg.config.schema.names import is_own_score
from foldseg.ensemble.fitted import read_fitted_steps
from foldseg.ensemble.made_from import KEY, find_changed_checkpoints
from foldseg.errors import FoldsegError
from foldseg.files import sha256, write_json, write_text
from foldseg.runs.checkpoints import network_weights, read_checkpoint, write_weights
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.runs.trained import load_network
from foldseg.scoring.own_score import split_own_score

logger = logging.getLogger(__name__)


def add_submission(project: Path, path: Path) -> tuple[dict[str, Any], list[Experiment]]:
    """Put a submission and its runs into a project. Return what bundle.json says of them, and their experiments."""
    submission = SubmissionFolder.open(path)
    config, scores = submission.read_settings(), dict(submission.read_scores())
    if changes := find_changed_checkpoints(config, scores.get(KEY, {}).get("members", {})):
        raise FoldsegError(f"{path}: was fitted with other weights: {changes[0]}; run foldseg ensemble again")
    read_fitted_steps(submission.fitted, config.steps)  # raises the error of a damaged file
    experiments: dict[str, Experiment] = {}
    hashes: dict[str, str] = {}
    for member in config.members:
        for fold in scores["folds"]:
            run = RunFolder.open(config.runs / member.experiment / f"fold_{fold}")
            experiments[member.experiment] = run.experiment
            for checkpoint in dict.fromkeys(["best", member.checkpoint]):  # a run is finished only if it has its best
                hashes |= _add_checkpoint(project, run, member.experiment, checkpoint)
            _add_run(project, run, member.experiment)
    there = SubmissionFolder(project / "submissions" / config.name)
    there.path.mkdir(parents=True)
    update = {"runs": Path("runs"), "submissions": Path("submissions"), "folds": tuple(scores["folds"])}
    save(config.model_copy(update=update), there.config)
    made_from = dict(scores.get(KEY, {}))
    stated = {name: hashes.get(name, digest) for name, digest in made_from.get("members", {}).items()}
    write_json(there.scores, {**scores, KEY: {**made_from, "members": stated}})
    shutil.copyfile(submission.fitted, there.fitted)
    _add_data(project, next(iter(experiments.values())))
    return {"submission": config.name, "members": made_from.get("members", {})}, list(experiments.values())


def _add_checkpoint(project: Path, run: RunFolder, experiment: str, name: str) -> dict[str, str]:
    """Write the network's weights of a checkpoint alone. Return its name in score.json -> its new SHA-256.

    FoldsegError if the weights are not those of the network.
    """
    file = run.existing_checkpoint(name)
    path = Path(experiment) / f"fold_{run.fold}" / "checkpoints" / f"{name}.ckpt"
    there = project / "runs" / path
    if not there.is_file():
        there.parent.mkdir(parents=True, exist_ok=True)
        state = network_weights(load_network(run, file))
        write_weights(there, {"state_dict": state, "foldseg": dict(read_checkpoint(file).get("foldseg", {}))})
    return {path.as_posix(): sha256(there)}


def _add_run(project: Path, run: RunFolder, experiment: str) -> None:
    """Put what a run says of itself into a project."""
    there = RunFolder(project / "runs" / experiment / f"fold_{run.fold}")
    save(run.experiment.model_copy(update={"runs": Path("runs")}), there.config)
    shutil.copyfile(run.provenance, there.provenance)
    shutil.copyfile(run.summary, there.summary)


def _add_data(project: Path, experiment: Experiment) -> None:
    """Write the settings of the data, which also make the folder a project."""
    configs = project / "configs" / "data"
    configs.mkdir(parents=True, exist_ok=True)
    data = json.loads(experiment.data.model_dump_json())
    write_text(configs / "bundled.yaml", json.dumps({"data": data}, indent=2) + "\n")  # JSON is YAML, too


def add_experiments(project: Path, experiments: Iterable[Experiment]) -> dict[str, Any]:
    """Put experiments and the files that they need into a project. Return what bundle.json says of them.

    These are the folds, a list of images to exclude, weights in files, and a score of one's own. Other files that it
    needs are logged.
    """
    names = []
    for experiment in experiments:
        data, model = experiment.data, experiment.model
        if not data.folds.is_file():
            raise FoldsegError(f"{data.folds}: no such folds file; make it with foldseg folds")
        update: dict[str, Any] = {"folds": _add_file(project, "folds", data.folds)}
        if data.exclude is not None:
            update["exclude"] = _add_file(project, "folds", data.exclude)
        data = data.model_copy(update=update)
        weights = model.encoder_weights
        if weights is not None and Path(weights).is_file():
            model = model.model_copy(update={"encoder_weights": str(_add_file(project, "weights", Path(weights)))})
        _say_what_is_missing(experiment)
        configs = project / "configs" / "experiments"
        configs.mkdir(parents=True, exist_ok=True)
        of_project: dict[str, Any] = {"data": data, "model": model, "runs": Path("runs")}
        if is_own_score(experiment.monitor):
            file, function = split_own_score(experiment.monitor)
            of_project["monitor"] = f"{_add_file(project, '.', file)}:{function}"
        save(experiment.model_copy(update=of_project), configs / f"{experiment.name}.yaml")
        _add_data(project, experiment)
        names.append(experiment.name)
    return {"experiments": names}


def _add_file(project: Path, folder: str, path: Path) -> Path:
    """Copy a file into a folder of a project. Return its path there. FoldsegError if it is missing."""
    if not path.is_file():
        raise FoldsegError(f"{path}: no such file")
    (project / folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, project / folder / path.name)
    return Path(folder) / path.name


def _say_what_is_missing(experiment: Experiment) -> None:
    """Log which files a training needs besides the data, and are not bundled."""
    weights, name = experiment.model.encoder_weights, experiment.name
    if weights is not None and not Path(weights).is_file():
        logger.warning(
            "%s: model.encoder_weights %s are downloaded when the training begins, which needs internet; give a file "
            "(foldseg export-encoder) or null", name, weights,
        )  # fmt: skip
    if experiment.model.start_from is not None:
        logger.warning("%s: model.start_from %s is not bundled", name, experiment.model.start_from)
    for source in experiment.sampling.sources:
        logger.warning("%s: sampling.sources: %s and %s are not bundled", name, source.images, source.masks)

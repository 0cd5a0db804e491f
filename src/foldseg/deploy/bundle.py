"""Writes bundles: zips from which a machine without internet installs foldseg, and predicts or trains.

run.py  README.txt           what is run, and how
requirements.txt  wheels/    the packages
bundle.json                  what it was made from
project/                     a project of foldseg: for predicting, the runs with their weights and the submission
"""

import json
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import foldseg
from foldseg.config import Experiment, load_experiment, save
from foldseg.deploy import bundle_run
from foldseg.deploy.bundle_wheels import (
    TORCH,
    collect_wheels,
    copy_wheels,
    list_requirements,
    list_step_packages,
    normalise,
    write_own_wheel,
)
from foldseg.ensemble.fitted import read_fitted_steps
from foldseg.ensemble.made_from import KEY, find_changed_checkpoints
from foldseg.errors import FoldsegError
from foldseg.files import replacing, sha256, write_json, write_text
from foldseg.outputs import SIGNATURE
from foldseg.runs.checkpoints import network_weights, read_checkpoint, write_weights
from foldseg.runs.provenance import git_commit
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.runs.trained import load_network

logger = logging.getLogger(__name__)

_FACTS = ("best", "best_epoch", "monitor")
_README = """foldseg bundle: {what}

In a notebook, with this bundle as an input (its folder is BUNDLE):

    !python BUNDLE/run.py {words}

Replace words in capital letters. Packages are installed from BUNDLE/wheels alone, without internet. Packages that the
machine has already stay, if their version will do.
"""


def write_bundle(
    source: Path,
    out: Path,
    *,
    train: bool = False,
    wheels: Path | None = None,
    with_torch: bool = False,
    bare: bool = False,
) -> str:
    """Write the bundle `out` of a finished submission, or with `train` of an experiment; return what it holds.

    `train`: also bundle the experiments, the folds and the packages of training. `wheels`: a folder of wheels; None:
    pip gets those that are installed. `with_torch`: torch, too. `bare`: no wheels but foldseg's.

    FoldsegError if the submission is not finished, a file is missing, or wheels cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="foldseg_bundle_") as name:
        folder = Path(name)
        project = folder / bundle_run.PROJECT
        if source.suffix in (".yaml", ".yml"):
            if not train:
                raise FoldsegError(
                    f"{source}: an experiment has nothing to predict with; add --train, or give submissions/X"
                )
            optional: list[str] = []
            facts = _add_experiments(project, [load_experiment(source)])
            what, words = f"training of {source.stem}", f"train configs/experiments/{source.stem}.yaml 0 data.root=DATA"
        else:
            facts, experiments = _add_submission(project, source)
            optional = list_step_packages(SubmissionFolder(source).read_settings().steps)
            if train:
                facts |= _add_experiments(project, experiments)
            what = f"prediction with {source.name}"
            files = _list_contest_files(source)
            words = " ".join([f"predict-test submissions/{source.name} OUT data.root=DATA", *files, "--time-limit 9h"])
        requirements = [*list_requirements(train=train), *optional]
        write_text(folder / bundle_run.REQUIREMENTS, "\n".join(requirements) + "\n")
        _add_wheels(folder / bundle_run.WHEELS, requirements, wheels, with_torch=with_torch, bare=bare)
        shutil.copyfile(bundle_run.__file__, folder / "run.py")
        write_text(folder / "README.txt", _README.format(what=what, words=words))
        made = datetime.now(UTC).isoformat(timespec="seconds")
        facts |= {"made": made, "foldseg": foldseg.__version__, "git_commit": git_commit()}
        write_json(folder / "bundle.json", facts)
        _zip(folder, out)
        return _describe(folder, out, words)


def _add_submission(project: Path, path: Path) -> tuple[dict[str, Any], list[Experiment]]:
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


def _list_contest_files(path: Path) -> list[str]:
    """Return overrides for the files of the contest that the format reads, such as a sample of the submission."""
    settings = SubmissionFolder(path).read_settings().submission
    files = {name: getattr(settings, name) for name in type(settings).model_fields}
    return [f"submission.{name}=DATA/{file.name}" for name, file in files.items() if isinstance(file, Path)]


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


def _add_experiments(project: Path, experiments: Iterable[Experiment]) -> dict[str, Any]:
    """Put experiments, their folds files and their weights into a project. Return what bundle.json says of them."""
    names = []
    for experiment in experiments:
        folds, weights = experiment.data.folds, experiment.model.encoder_weights
        if not folds.is_file():
            raise FoldsegError(f"{folds}: no such folds file; make it with foldseg folds")
        there = project / "folds" / folds.name
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folds, there)
        data = experiment.data.model_copy(update={"folds": Path("folds") / folds.name})
        model = experiment.model
        if weights is not None and Path(weights).is_file():
            (project / "weights").mkdir(exist_ok=True)
            shutil.copyfile(weights, project / "weights" / Path(weights).name)
            model = model.model_copy(update={"encoder_weights": f"weights/{Path(weights).name}"})
        elif weights is not None:
            logger.warning(
                "%s: model.encoder_weights %s are downloaded when the training begins, which needs internet; "
                "give a file (foldseg export-encoder) or null", experiment.name, weights,
            )  # fmt: skip
        configs = project / "configs" / "experiments"
        configs.mkdir(parents=True, exist_ok=True)
        update = {"data": data, "model": model, "runs": Path("runs")}
        save(experiment.model_copy(update=update), configs / f"{experiment.name}.yaml")
        _add_data(project, experiment)
        names.append(experiment.name)
    return {"experiments": names}


def _add_wheels(folder: Path, requirements: list[str], source: Path | None, *, with_torch: bool, bare: bool) -> None:
    """Put wheels into a folder: foldseg's, and those of a folder or those that pip gets."""
    folder.mkdir()
    write_own_wheel(folder)
    if bare:
        return
    if source is not None:
        copy_wheels(source, folder)
    else:
        collect_wheels(requirements, folder, with_torch=with_torch)
    present = {normalise(wheel.name.split("-")[0]) for wheel in folder.glob("*.whl")}
    missing = [line for line in requirements if normalise(line) not in present | (set() if with_torch else TORCH)]
    if missing:
        logger.warning("not bundled, so the machine must have: %s", ", ".join(missing))


def _zip(folder: Path, out: Path) -> None:
    """Write all files below a folder into a zip, whole or not at all. Weights and wheels are compressed already."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = f"bundle of {SIGNATURE}".encode()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())


def _describe(folder: Path, out: Path, words: str) -> str:
    """Return what a bundle holds, and the cell of a notebook that uses it."""

    def megabytes(paths: Iterable[Path]) -> str:
        return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"

    wheels = list((folder / bundle_run.WHEELS).glob("*.whl"))
    lines = [f"{out}: {megabytes([out])}"]
    lines.append(f"  {len(wheels)} wheels, {megabytes(wheels)}")
    checkpoints = list(folder.rglob("*.ckpt"))
    if checkpoints:
        lines.append(f"  {len(checkpoints)} files of weights, {megabytes(checkpoints)}")
    return "\n".join([*lines, "a cell of the notebook:", f"  !python BUNDLE/run.py {words}"])

"""Writes what a run says about its training: its settings and data, and each session, with its code and machine."""

import logging
import platform
from datetime import UTC, datetime
from typing import Any

import torch

import foldseg
from foldseg.config import Experiment, save
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.hashes import hash_code
from foldseg.data.image_statistics import Statistics
from foldseg.files import read_record, write_json
from foldseg.models.device import choose_device
from foldseg.runs.data_changes import hash_training_data
from foldseg.runs.provenance import LIBRARIES, git_commit, installed_version
from foldseg.runs.run_folder import RunFolder
from foldseg.scoring.own_score import hash_own_score

logger = logging.getLogger(__name__)

TRAINING_CODE = ("config", "data", "losses", "models", "runs", "scoring", "training", "views")
"""Rooms whose code decides the results of a training."""

_OLDER_KEYS = ("git_commit", "foldseg", "python", "machine", "libraries")
"""What runs of older versions say about their only session, outside of `sessions`."""

_CODE_KEYS = ("git_commit", "code", "foldseg", "python", "own_score")
_MACHINE_KEYS = ("machine", "processor", "device", "threads", "processes")


def describe_run(
    run: RunFolder,
    experiment: Experiment,
    fold: int,
    classes: list[str],
    data: DataSet,
    statistics: Statistics | None = None,
) -> None:
    """Write a run's config.yaml and provenance.json.

    `classes`: names of the network's outputs. `statistics`: those of the training images, if images are normalised
    with them.
    """
    labels = data.labels
    save(experiment, run.config)
    write_json(
        run.provenance,
        {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "fold": fold,
            "seed": experiment.seed,
            "classes": classes,
            "labels": labels.definition if labels.names == classes else None,
            "data_fingerprint": data.fingerprint,
            **({} if statistics is None else {"mean": statistics[0], "std": statistics[1]}),
            "git_commit": git_commit(),
            "foldseg": foldseg.__version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "libraries": {name: installed_version(name) for name in LIBRARIES},
        },
    )


def write_sample_hashes(run: RunFolder, experiment: Experiment, fold_data: FoldData) -> None:
    """Write the run's data.csv: hashes of what it is trained and validated on."""
    train, validation = (table["id"].tolist() for table in (fold_data.train, fold_data.validation))
    hash_training_data(experiment, run.fold, fold_data.data, train, validation).write(run.sample_hashes)


def begin_session(run: RunFolder) -> None:
    """Add this process to the `sessions` of the run's provenance.json.

    A warning names what has changed since the session before: the commit, the code, Python or a library. Another
    machine is only logged, because it may round numbers in another way.
    """
    provenance = read_record(run.provenance, {})
    earlier = provenance.get("sessions", [])
    if not earlier and run.last.is_file():
        first = {key: provenance[key] for key in _OLDER_KEYS if key in provenance}
        earlier = [{"started": provenance.get("created"), **first}]
    now = describe_session(run.experiment)
    write_json(run.provenance, {**provenance, "sessions": [*earlier, now]})
    run.__dict__.pop("facts", None)  # the cached content of the file
    if not earlier:
        return
    if code := list_session_changes(earlier[-1], now):
        logger.warning("%s: goes on with other code than before: %s; both are recorded", run.path, ", ".join(code))
    if machine := _list_changes(earlier[-1], now, _MACHINE_KEYS):
        logger.info("%s: goes on elsewhere: %s; numbers may be rounded otherwise", run.path, ", ".join(machine))


def describe_session(experiment: Experiment) -> dict[str, Any]:
    """Return when and where this process runs, and its code: commit, hash of foldseg's files, versions, machine."""
    uses_gpu = choose_device(experiment.device).type == "cuda"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "code": hash_code(*TRAINING_CODE),
        "own_score": hash_own_score(experiment.score),
        "foldseg": foldseg.__version__,
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in LIBRARIES},
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if uses_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "processes": experiment.devices,
    }


def list_session_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return how code and libraries of two sessions differ: `commit a1 -> b2-dirty`, `version of torch 2.8 -> 2.9`."""
    old_versions = _name_versions(before)
    new_versions = _name_versions(now)
    code_changes = _list_changes(before, now, _CODE_KEYS)
    return code_changes + _list_changes(old_versions, new_versions, tuple(new_versions))


def _name_versions(session: dict[str, Any]) -> dict[str, Any]:
    return {f"version of {name}": value for name, value in session.get("libraries", {}).items()}


def _list_changes(before: dict[str, Any], now: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    changes = []
    for key in keys:
        if key in before and before[key] != now[key]:
            name = key.removeprefix("git_")
            changes.append(f"{name} {before[key] or 'unknown'} -> {now[key] or 'unknown'}")
    return changes

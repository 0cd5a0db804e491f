"""What a run says of its training: what it was begun with, and every session, by which code, on which machine."""

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
from foldseg.files import read_record, write_json
from foldseg.models.device import choose_device
from foldseg.runs.contents import hash_contents
from foldseg.runs.provenance import LIBRARIES, git_commit, installed_version
from foldseg.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)

TRAINING_CODE = ("config", "data", "losses", "models", "runs", "scoring", "training", "views")
"""Rooms whose code decides what a run comes to."""


def describe_run(run: RunFolder, experiment: Experiment, fold: int, classes: list[str], data: DataSet) -> None:
    """Write a run's config.yaml and provenance.json; `classes` are those of the network's outputs."""
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
            "git_commit": git_commit(),
            "foldseg": foldseg.__version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "libraries": {name: installed_version(name) for name in LIBRARIES},
        },
    )


def write_contents(run: RunFolder, experiment: Experiment, fold_data: FoldData) -> None:
    """Write the run's data.csv: what is trained and validated on, in its own fold."""
    train, validation = (table["id"].tolist() for table in (fold_data.train, fold_data.validation))
    hash_contents(experiment, run.fold, fold_data.data, train, validation).write(run.contents)


def begin_session(run: RunFolder) -> None:
    """Add this process to the `sessions` of the run's provenance.json.

    A warning names what is not as it was in the session before: the commit, the code, Python or a library. Another
    machine is logged, too: it may round otherwise.
    """
    facts = read_record(run.provenance, {})
    earlier = facts.get("sessions", [])
    if not earlier and run.last.is_file():  # a run of an older version, of which the first session alone is known
        earlier = [{"started": facts.get("created"), **{key: facts[key] for key in _OF_OLDER if key in facts}}]
    now = describe_session(run.experiment)
    write_json(run.provenance, {**facts, "sessions": [*earlier, now]})
    run.__dict__.pop("facts", None)
    if not earlier:
        return
    if code := session_changes(earlier[-1], now):
        logger.warning("%s: goes on with other code than before: %s; both are recorded", run.path, ", ".join(code))
    if machine := _changes(earlier[-1], now, _MACHINE):
        logger.info("%s: goes on elsewhere: %s; numbers may be rounded otherwise", run.path, ", ".join(machine))


_OF_OLDER = ("git_commit", "foldseg", "python", "machine", "libraries")
_CODE = ("git_commit", "code", "foldseg", "python")
_MACHINE = ("machine", "processor", "device", "threads", "processes")


def describe_session(experiment: Experiment) -> dict[str, Any]:
    """Return what this process runs, and on what: its start, commit, a hash of foldseg's files, versions, machine."""
    uses_gpu = choose_device(experiment.device).type == "cuda"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "code": hash_code(*TRAINING_CODE),
        "foldseg": foldseg.__version__,
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in LIBRARIES},
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if uses_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "processes": experiment.devices,
    }


def session_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say how the code and libraries of two sessions differ: `git_commit a1b2 -> c3d4-dirty`, `torch 2.8 -> 2.9`."""
    old, new = ({f"version of {name}": value for name, value in s.get("libraries", {}).items()} for s in (before, now))
    return [*_changes(before, now, _CODE), *_changes(old, new, tuple(new))]


def _changes(before: dict[str, Any], now: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    changed = [key for key in keys if key in before and before[key] != now[key]]
    return [f"{key.removeprefix('git_')} {before[key] or 'unknown'} -> {now[key] or 'unknown'}" for key in changed]

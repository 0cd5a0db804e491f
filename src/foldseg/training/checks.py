"""Checks whether a configuration may go on in a run folder."""

import logging
from datetime import UTC, datetime
from typing import Any

from foldseg.config import Experiment, save
from foldseg.data.datasets import DataSet
from foldseg.data.hashes import SampleHashes
from foldseg.errors import FoldsegError
from foldseg.files import read_record, write_json
from foldseg.runs.data_changes import CURE, hash_training_data, list_data_changes, list_label_set_changes
from foldseg.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)

_FREE_SETTINGS = ("workers", "cache", "device", "devices", "compile", "runs", "data.root")
"""Settings that may change while a run is trained: they decide where it computes and how fast, not what it computes."""


def check_same(run: RunFolder, experiment: Experiment) -> None:
    """Raise FoldsegError if settings of `experiment` differ from the run's, other than the free ones. It names them.

    A run folder holds one configuration. If another one went on in it, its config.yaml would be wrong.
    """
    old = _flatten(run.experiment.model_dump(mode="json"))
    new = _flatten(experiment.model_dump(mode="json"))
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key) and key not in _FREE_SETTINGS]
    if changed:
        changes = ", ".join(f"{key} ({old.get(key)} -> {new.get(key)})" for key in changed[:5])
        raise FoldsegError(
            f"{run.path}: holds a run of another configuration: {changes}; "
            "give the experiment another name (name=...) or remove the folder"
        )


def save_free_settings(run: RunFolder, experiment: Experiment) -> RunFolder:
    """Write `experiment`, which may differ from the run's in free settings only, as its config.yaml; return the run."""
    if run.experiment != experiment:
        save(experiment, run.config)
    return RunFolder(run.path)  # a new object, because the old one keeps what it has read


def require_same_contents(run: RunFolder, experiment: Experiment, data: DataSet, *, accept: bool) -> None:
    """Raise FoldsegError if a run was trained on other images, masks, weights or label set than `experiment` has now.

    The message names the first of each kind. With `accept` there is no error. The run then takes over what there is
    now, and provenance.json says when it did so and what was different. Runs of older versions have no data.csv, so
    nothing is known of their data. That is logged.
    """
    changes = [*list_label_set_changes(run, experiment), *list_data_changes(run, experiment, data)]
    if not changes:
        return
    if not accept:
        raise FoldsegError(f"{run.path}: was trained on something else than there is now: {'; '.join(changes)}. {CURE}")
    before = SampleHashes.read(run.sample_hashes)
    current_hashes = hash_training_data(experiment, run.fold, data, before.ids("train"), before.ids("validation"))
    current_hashes.write(run.sample_hashes)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    accepted = [*run.facts.get("accepted", []), {"date": now, "changes": changes}]
    changed_entries = {"labels": data.labels.definition, "accepted": accepted}
    write_json(run.provenance, {**read_record(run.provenance, {}), **changed_entries})
    logger.warning("%s: is kept, though it was trained on something else: %s", run.path, "; ".join(changes))


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested dictionaries by their dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

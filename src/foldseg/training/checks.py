"""May this configuration go on in that run folder?"""

import logging
from datetime import UTC, datetime
from typing import Any

from foldseg.config import Experiment, save
from foldseg.data.datasets import DataSet
from foldseg.data.hashes import Contents
from foldseg.errors import FoldsegError
from foldseg.files import read_record, write_json
from foldseg.runs.contents import CURE, content_changes, hash_contents, label_set_changes
from foldseg.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)

_FREE = (
    "workers",
    "cache",
    "device",
    "devices",
    "compile",
    "runs",
    "data.root",
)  # these change where and how fast, not what comes out


def check_same(run: RunFolder, experiment: Experiment) -> None:
    """FoldsegError unless `experiment` differs from the run's own settings in free ones only; it names the others.

    A run folder holds one configuration; going on with another would make its config.yaml a lie.
    """
    old, new = (_flat(e.model_dump(mode="json")) for e in (run.experiment, experiment))
    fixed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key) and key not in _FREE]
    if fixed:
        changes = ", ".join(f"{key} ({old.get(key)} -> {new.get(key)})" for key in fixed[:5])
        raise FoldsegError(
            f"{run.path}: holds a run of another configuration: {changes}; "
            "give the experiment another name (name=...) or remove the folder"
        )


def take_over(run: RunFolder, experiment: Experiment) -> RunFolder:
    """Return the run with the free settings of `experiment` (where the data lies, how many workers) for its own."""
    if run.experiment != experiment:
        save(experiment, run.config)
    return RunFolder(run.path)  # what the old object has read and cached may have changed


def require_same_contents(run: RunFolder, experiment: Experiment, data: DataSet, *, accept: bool) -> None:
    """FoldsegError when a run was trained on other images, masks, weights or label set than `experiment` has now.

    The message names the first of each. With `accept` the run takes what there is now for its own, and provenance.json
    says since when, and what was different. Of an older run, without data.csv, nothing is known; that is logged.
    """
    changes = [*label_set_changes(run, experiment), *content_changes(run, experiment, data)]
    if not changes:
        return
    if not accept:
        raise FoldsegError(f"{run.path}: was trained on something else than there is now: {'; '.join(changes)}. {CURE}")
    before = Contents.read(run.contents)
    hash_contents(experiment, run.fold, data, before.ids("train"), before.ids("validation")).write(run.contents)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    accepted = [*run.facts.get("accepted", []), {"date": now, "changes": changes}]
    facts = {"labels": data.labels.definition, "accepted": accepted}
    write_json(run.provenance, {**read_record(run.provenance, {}), **facts})
    logger.warning("%s: is kept, though it was trained on something else: %s", run.path, "; ".join(changes))


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat

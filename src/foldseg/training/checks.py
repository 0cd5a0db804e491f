"""May this configuration go on in that run folder?"""

from typing import Any

from foldseg.config import Experiment, save
from foldseg.errors import FoldsegError
from foldseg.training.run import RunFolder

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


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat

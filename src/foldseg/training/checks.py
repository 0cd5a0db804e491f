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


def check_same(run: RunFolder, experiment: Experiment) -> RunFolder:
    """Return the run, described by `experiment`, if that differs from the run's own in free settings only.

    A run folder holds one configuration; going on with another would make its config.yaml a lie. Free settings (where
    the data lies, how many workers) are taken over. FoldsegError names the others.
    """
    old, new = (_flat(e.model_dump(mode="json")) for e in (run.experiment, experiment))
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    fixed = [key for key in keys if not key.startswith(_FREE)]
    if fixed:
        changes = ", ".join(f"{key} ({old.get(key)} -> {new.get(key)})" for key in fixed[:5])
        raise FoldsegError(
            f"{run.path}: holds a run of another configuration: {changes}; "
            "give the experiment another name (name=...) or remove the folder"
        )
    if keys:
        save(experiment, run.config)
    return RunFolder(run.path)  # what the old object has read and cached may have changed


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat

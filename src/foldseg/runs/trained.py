"""The network of a finished run, and its classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from foldseg.data.datasets import label_set
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.models.factory import SegmentationNetwork, build_network
from foldseg.models.weights import check_finite, load_strictly, load_torch_file
from foldseg.runs.contents import CURE, label_set_changes
from foldseg.runs.run_folder import RunFolder

_NETWORK = "network."


def load_network(run: RunFolder, path: Path | None = None) -> SegmentationNetwork:
    """Build the network of a run and load a checkpoint of it, its best one by default; in evaluation mode.

    FoldsegError when the weights do not fit, or were trained on other classes than the run says.
    """
    path = path or run.best
    network = build_network(run.experiment.model, len(run.classes), pretrained=False)
    checkpoint = read_checkpoint(path)
    saved = checkpoint.get("foldseg", {}).get("classes", run.classes)
    if saved != run.classes:
        raise FoldsegError(f"{path}: was trained on the classes {saved}, the run says {run.classes}")
    load_strictly(network, network_state(checkpoint), path)
    return network.eval()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: a mapping whose `state_dict` holds tensors by name. FoldsegError when it is something else."""
    checkpoint = load_torch_file(path)
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FoldsegError(f"{path}: is not a checkpoint of a run (it has no state_dict of tensors)")
    check_finite(state, path)
    if not isinstance(checkpoint.get("foldseg", {}), Mapping):
        raise FoldsegError(f"{path}: is damaged: what it says of its classes is no mapping")
    return checkpoint


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the network's part of a checkpoint's weights, by the network's own names."""
    return {k.removeprefix(_NETWORK): v for k, v in checkpoint["state_dict"].items() if k.startswith(_NETWORK)}


def trained_labels(run: RunFolder) -> LabelSet:
    """Return the label set of a run; FoldsegError if its data set has other classes, raw ids or colours now."""
    if changes := label_set_changes(run, run.experiment):
        raise FoldsegError(f"{run.path}: was trained with another label set than there is now: {changes[0]}. {CURE}")
    return label_set(run.experiment.data)

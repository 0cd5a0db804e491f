"""The network of a finished run, and its classes."""

from pathlib import Path

from foldseg.data.datasets import get_label_set
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork
from foldseg.models.weights import load_strictly
from foldseg.runs.checkpoints import network_state, read_checkpoint
from foldseg.runs.data_changes import CURE, list_label_set_changes
from foldseg.runs.run_folder import RunFolder


def load_network(run: RunFolder, path: Path | None = None) -> SegmentationNetwork:
    """Build the network of a run and load a checkpoint of it, its best one by default; in evaluation mode.

    FoldsegError when the weights do not fit, or were trained on other classes than the run says.
    """
    path = path or run.best
    channels = run.experiment.data.pictures.channels
    network = build_network(run.experiment.model, len(run.classes), channels=channels, pretrained=False)
    checkpoint = read_checkpoint(path)
    saved = checkpoint.get("foldseg", {}).get("classes", run.classes)
    if saved != run.classes:
        raise FoldsegError(f"{path}: was trained on the classes {saved}, the run says {run.classes}")
    load_strictly(network, network_state(checkpoint), path)
    return network.eval()


def trained_labels(run: RunFolder) -> LabelSet:
    """Return the label set of a run; FoldsegError if its data set has other classes, raw ids or colours now."""
    if changes := list_label_set_changes(run, run.experiment):
        raise FoldsegError(f"{run.path}: was trained with another label set than there is now: {changes[0]}. {CURE}")
    return get_label_set(run.experiment.data)

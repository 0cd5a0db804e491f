"""Whether an exported file predicts what its run predicts, on pictures of streets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from foldseg.data.datasets import DataSet
from foldseg.data.labels import Image
from foldseg.data.reading import read_image
from foldseg.deploy.export import SAME
from foldseg.deploy.exported_source import open_exported_source
from foldseg.deploy.interface import PredictionOptions
from foldseg.deploy.numpy_views import Maps, Network
from foldseg.ensemble.blend import argmax
from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.views.tensors import as_tensor

_OTHER_CLASS = 1e-3  # share of pixels: rounding decides only where two classes are as probable as each other
_FRAMES = 8


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart: of `pictures`, the largest of a probability and the pixels of another class."""

    pictures: int
    largest: float
    other_class: float  # share of all pixels

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures: probabilities differ by up to {self.largest:.2g}, "
            f"{self.other_class:.4%} of pixels are of another class"
        )


def check_export(run: RunFolder, path: Path, pictures: Sequence[Path], checkpoint: str = "best") -> Difference:
    """Predict pictures with an exported file and with the network that it was made from, in the file's view.

    FoldsegError when they differ by more than rounding explains; the file is removed then.
    """
    exported = open_exported_source(path, PredictionOptions(device="cpu"))
    original = replace(exported, network=_torch(load_network(run, run.existing_checkpoint(checkpoint))))
    largest, other, pixels = 0.0, 0, 0
    for picture in tqdm(pictures, desc="checking", unit="image", leave=False, disable=None):
        image = read_image(picture)
        ours, theirs = exported.mean(image), original.mean(image)
        largest = max(largest, float(np.abs(ours - theirs).max()))
        other += int(np.count_nonzero(argmax(ours) != argmax(theirs)))
        pixels += image.shape[0] * image.shape[1]
    found = Difference(len(pictures), largest, other / pixels)
    if not (found.largest <= SAME and found.other_class <= _OTHER_CLASS):
        path.unlink()
        raise FoldsegError(
            f"{path}: does not predict what {run.path} predicts and was removed: {found}; "
            f"expected at most {SAME:g} and {_OTHER_CLASS:.4%}"
        )
    return found


def frames_to_check(run: RunFolder) -> list[Path]:
    """Return some images of a run's data set, spread over all of it."""
    images = list(DataSet(run.experiment.data).images.values())
    chosen = np.unique(np.linspace(0, len(images) - 1, _FRAMES).round().astype(int))
    return [images[place] for place in chosen]


def _torch(module: SegmentationNetwork) -> Network:
    @torch.inference_mode()
    def network(picture: Image) -> Maps:
        return module(as_tensor(picture)[None]).softmax(1)[0].numpy()

    return network

"""Checks on real pictures that an exported file predicts what its run predicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from foldseg.data.datasets import DataSet
from foldseg.data.labels import Image
from foldseg.data.reading import read_image
from foldseg.deploy.export import TOLERANCE
from foldseg.deploy.exported_source import open_exported_source
from foldseg.deploy.interface import PredictionOptions
from foldseg.deploy.numpy_views import Maps, Network
from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.views.activation import Activation, choose_activation
from foldseg.views.tensors import as_tensor

_CLASS_TOLERANCE = 1e-3  # share of pixels that may change class: where two classes are equally probable
_IMAGES = 8


@dataclass(frozen=True)
class Difference:
    """How much the predictions of two networks for a number of pictures differ.

    `probability`: the largest difference between two probabilities. `other_class`: the share of all pixels whose class
    differs.
    """

    pictures: int
    probability: float
    other_class: float

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures: probabilities differ by up to {self.probability:.2g}, "
            f"{self.other_class:.4%} of pixels are of another class"
        )


def check_export(run: RunFolder, path: Path, pictures: Sequence[Path], checkpoint: str = "best") -> Difference:
    """Compare an exported file with the network that it was made from, on pictures in the file's view.

    FoldsegError when their predictions differ by more than rounding explains. The file is removed then.
    """
    exported = open_exported_source(path, PredictionOptions(device="cpu"))
    network = load_network(run, run.existing_checkpoint(checkpoint))
    original = replace(exported, network=_numpy_function(network, choose_activation(exported.labels)))
    decide = exported.plan.classes.decide
    largest, other_class, pixels = 0.0, 0, 0
    for picture in tqdm(pictures, desc="checking", unit="image", leave=False, disable=None):
        image = read_image(picture, exported.reading)
        maps, original_maps = exported.predict_mean(image), original.predict_mean(image)
        largest = max(largest, float(np.abs(maps - original_maps).max()))
        other_class += int(np.count_nonzero(decide(maps) != decide(original_maps)))
        pixels += image.shape[0] * image.shape[1]
    difference = Difference(len(pictures), largest, other_class / pixels)
    if not (difference.probability <= TOLERANCE and difference.other_class <= _CLASS_TOLERANCE):
        path.unlink()
        raise FoldsegError(
            f"{path}: does not predict what {run.path} predicts and was removed: {difference}; "
            f"expected at most {TOLERANCE:g} and {_CLASS_TOLERANCE:.4%}"
        )
    return difference


def choose_images(run: RunFolder) -> list[Path]:
    """Return a few images of a run's data set, spread evenly over all of it."""
    images = list(DataSet(run.experiment.data).images.values())
    places = np.unique(np.linspace(0, len(images) - 1, _IMAGES).round().astype(int))
    return [images[place] for place in places]


def _numpy_function(module: SegmentationNetwork, activation: Activation) -> Network:
    """Return a function that predicts a picture with a torch network, as an exported file does."""

    @torch.inference_mode()
    def network(picture: Image) -> Maps:
        return activation.compute_probabilities(module(as_tensor(picture)[None]))[0].numpy()

    return network

"""The numbers of one validation: every image is counted once, at its original size, in the run's own view."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import PredictView
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.definitions import is_lower_better
from foldseg.config.schema.names import LossName, MonitorName
from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet
from foldseg.losses.pixels import OverlappingPixels
from foldseg.scoring.class_values import iou
from foldseg.scoring.counts import Counts, count_prediction
from foldseg.scoring.scores import list_scores, score
from foldseg.training.devices import gather
from foldseg.training.pictures import draw_triplet
from foldseg.views.activation import choose_activation
from foldseg.views.eval_samples import EvalSample
from foldseg.views.geometry import Network, predict_probabilities, restore_maps

_PICTURES = 3
"""Number of images that are drawn."""


_TINY = 1e-7  # logarithms are taken of no smaller probability


def measure_cross_entropy(maps: Tensor, mask: Tensor, overlapping: bool = False) -> Tensor:
    """Return the mean cross-entropy of an image in nats, a scalar; NaN if all its pixels are void.

    maps: probabilities (classes, H, W). mask: (H, W) uint8 or int64 with 255 for void. If classes are `overlapping`, it
    holds class bits, and the result is the mean over pixels and classes of the binary cross-entropy.
    """
    if not overlapping:
        log_probabilities = maps.clamp_min(_TINY).log()
        return functional.nll_loss(log_probabilities[None], mask[None].long(), ignore_index=IGNORE_INDEX)
    pixels = OverlappingPixels(maps[None], mask[None])
    of_truth = torch.where(pixels.truth, maps[None], 1 - maps[None]).clamp_min(_TINY)
    return -(of_truth.log().mean(1) * pixels.valid).sum() / pixels.valid.sum()


IMAGE_LOSSES: dict[str, Callable[..., Tensor]] = {"val_cross_entropy": measure_cross_entropy}
"""Losses of a validation: functions of an image's probability maps and mask, and of whether classes overlap. A
validation has their mean over images.

What a loss states of itself is in `config/schema/definitions.py: LOSSES`.
"""
check_entries(IMAGE_LOSSES, LossName, "training/validation.py: IMAGE_LOSSES")


def make_comparable(name: str, value: float) -> float:
    """Return a number of a validation such that higher is better: losses change their sign, NaN becomes -inf."""
    if math.isnan(value):
        return -math.inf
    return -value if is_lower_better(name) else value


class Validation:
    """Predicts images in the order in which they come, `batch_size` together if they have the same size.

    `monitor`: the number that the run monitors, which may be a score of one's own.
    """

    def __init__(
        self, view: PredictView, labels: LabelSet, batch_size: int, monitor: MonitorName = "dataset_miou"
    ) -> None:
        self._view, self._labels, self._batch_size = view, labels, batch_size
        self._activation = choose_activation(labels)
        self._scores = list_scores(monitor)
        self.start()

    def start(self) -> None:
        """Reset: no image has been predicted."""
        self.pictures: list[Image] = []
        self.counts: list[Counts] = []
        self._losses: dict[str, list[Tensor]] = {name: [] for name in IMAGE_LOSSES}
        self._waiting: list[EvalSample] = []

    def add(self, network: Network, sample: EvalSample) -> None:
        """Add an image with its mask. It may wait for other images of its size."""
        if self._waiting and sample.grid != self._waiting[0].grid:
            self.predict_waiting(network)
        self._waiting.append(sample)
        if len(self._waiting) == self._batch_size:
            self.predict_waiting(network)

    def predict_waiting(self, network: Network) -> None:
        """Predict and count the images that wait for others."""
        if not self._waiting:
            return
        samples, self._waiting = self._waiting, []
        inputs = samples[0].inputs if len(samples) == 1 else torch.cat([sample.inputs for sample in samples])
        padded_maps = predict_probabilities(network, inputs, self._view, self._activation)
        batch_maps = restore_maps(padded_maps, samples[0].grid)
        predictions = self._activation.decide(batch_maps).cpu().numpy()
        for sample, maps, prediction in zip(samples, batch_maps, predictions, strict=True):
            assert sample.mask is not None
            self.counts.append(count_prediction(sample.mask, prediction, self._labels))
            mask = torch.from_numpy(sample.mask).to(maps.device)
            for name, measure in IMAGE_LOSSES.items():
                self._losses[name].append(measure(maps, mask, self._labels.overlapping))
            if len(self.pictures) < _PICTURES:
                self.pictures.append(draw_triplet(sample, prediction, self._labels))

    def compute_metrics(self) -> dict[str, float]:
        """Return every loss (mean over images), every score and `iou/<class>`, of the images of all processes."""
        counts = np.stack(gather(self.counts))
        metrics = {name: _mean_of_defined(values) for name, values in self._losses.items()}
        metrics |= {name: score(name, counts, self._labels).value for name in self._scores}
        class_ious = iou(counts.sum(0)).tolist()
        return metrics | {f"iou/{name}": value for name, value in zip(self._labels.names, class_ious, strict=True)}


def _mean_of_defined(values: list[Tensor]) -> float:
    """Return the mean over the images of all processes. NaN, of an image that is all void, does not count."""
    image_values = gather(torch.stack(values).tolist() if values else [])
    defined = [value for value in image_values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan

"""The numbers of one validation: every image is counted once, on its original grid, in the run's own view."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import PredictView
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import LossName
from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.scores import SCORES, iou, score
from foldseg.training.devices import gathered
from foldseg.training.pictures import triplet
from foldseg.views.eval_samples import EvalSample
from foldseg.views.geometry import Network, predict_probabilities, restore_maps

LOWER_IS_BETTER = ("val_cross_entropy",)
"""What `Validation.row` has that is no score."""
check_entries(LOWER_IS_BETTER, LossName, "training/validation.py: LOWER_IS_BETTER")

_PICTURES = 3  # images that are drawn


def sign(name: str) -> int:
    """1, or -1 where less is better: times that, more of a number of a validation is better."""
    return -1 if name in LOWER_IS_BETTER else 1


def goodness(name: str, value: float) -> float:
    """Return `value` of a number of a validation so that more is better; NaN, where it is undefined, is the worst."""
    return -math.inf if math.isnan(value) else sign(name) * value


class Validation:
    """Predicts images that are of the same size `batch_size` at a time, in the order in which they come."""

    def __init__(self, view: PredictView, labels: LabelSet, batch_size: int) -> None:
        self._view, self._labels, self._batch_size = view, labels, batch_size
        self.start()

    def start(self) -> None:
        """Forget everything."""
        self.pictures: list[Image] = []
        self.counts: list[Counts] = []
        self._log_losses: list[Tensor] = []
        self._waiting: list[EvalSample] = []

    def add(self, network: Network, sample: EvalSample) -> None:
        """Take in an image with its mask; it may wait for others."""
        if self._waiting and sample.grid != self._waiting[0].grid:
            self.predict_waiting(network)
        self._waiting.append(sample)
        if len(self._waiting) == self._batch_size:
            self.predict_waiting(network)

    def predict_waiting(self, network: Network) -> None:
        """Predict and count the images that have waited for others."""
        if not self._waiting:
            return
        samples, self._waiting = self._waiting, []
        inputs = samples[0].inputs if len(samples) == 1 else torch.cat([sample.inputs for sample in samples])
        maps = restore_maps(predict_probabilities(network, inputs, self._view), samples[0].grid)
        predictions = maps.argmax(1).to(torch.uint8).cpu().numpy()
        for sample, own_maps, prediction in zip(samples, maps, predictions, strict=True):
            assert sample.mask is not None
            self.counts.append(count_pixels(sample.mask, prediction, len(self._labels)))
            truth = torch.from_numpy(sample.mask).to(maps.device).long()
            log_p = own_maps.clamp_min(1e-7).log()
            self._log_losses.append(functional.nll_loss(log_p[None], truth[None], ignore_index=IGNORE_INDEX))
            if len(self.pictures) < _PICTURES:
                self.pictures.append(triplet(sample, prediction, self._labels))

    def row(self) -> dict[str, float]:
        """Every score, `val_cross_entropy` (mean over images) and `iou/<class>`, of the images of all processes."""
        counts = np.stack(gathered(self.counts))
        log_losses = gathered(torch.stack(self._log_losses).tolist() if self._log_losses else [])
        known = [value for value in log_losses if not math.isnan(value)]  # NaN: an image that is all void
        row = {"val_cross_entropy": sum(known) / len(known) if known else math.nan}
        row |= {name: score(name, counts, self._labels).value for name in SCORES}
        per_class = iou(counts.sum(0)).tolist()
        return row | {f"iou/{name}": value for name, value in zip(self._labels.names, per_class, strict=True)}

"""Which classes the samples of an epoch hold: what each kind of balance draws from the data set's own frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Balance, ClassCrops, PositiveShare
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.sampling import ClassRule
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError

Weights = NDArray[np.float64]
Rows = NDArray[np.intp]
PixelCounts = NDArray[np.int64]
_KEY = "sampling.balance.classes"

CLASS_WEIGHTS: dict[str, Callable[[Weights], Weights]] = {
    "uniform": lambda share: np.ones_like(share),
    "inverse_frequency": lambda share: 1 / share,
    "inverse_root": lambda share: 1 / np.sqrt(share),
}
"""Weights of classes from their shares of all pixels (classes,), above 0."""
check_entries(CLASS_WEIGHTS, ClassRule, "views/balance.py: CLASS_WEIGHTS")


@dataclass(frozen=True)
class Draw:
    """One sample: its frame, and the classes of which a crop holds a pixel (none: it lies anywhere)."""

    frame: int
    classes: tuple[int, ...] = ()


class BalancePlan(Protocol):
    """What a balance draws in an epoch."""

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[Draw]:
        """Return `count` samples of the data set's own frames."""


class PlainPlan:
    """Every frame as often as its weight (frames,) says, and crops anywhere."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[Draw]:
        """Return `count` samples."""
        return draw_frames(self._weights, count, rng)


class ClassCropsPlan:
    """A share of the samples is cut around a pixel of a chosen class, the others anywhere."""

    def __init__(
        self, settings: ClassCrops, names: Sequence[str], pixels: PixelCounts, weights: Weights, epochs: int
    ) -> None:
        self._share, self._weights = settings.share, weights
        self._class_weights = class_weights(settings, names, pixels)
        self._holders = [np.flatnonzero(column) for column in (pixels[:, :-1] > 0).T]

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[Draw]:
        """Return `count` samples."""
        chosen = round(count * self._share)
        per_class = np.bincount(systematic(self._class_weights, chosen, rng), minlength=len(self._holders))
        draws = draw_frames(self._weights, count - chosen, rng)
        for index, number in enumerate(per_class.tolist()):
            holders = self._holders[index]
            draws += [Draw(int(holders[row]), (index,)) for row in systematic(self._weights[holders], number, rng)]
        return draws


class PositivePlan:
    """A share of the samples, which slides over the epochs, is cut around a pixel of given classes."""

    def __init__(
        self, settings: PositiveShare, names: Sequence[str], pixels: PixelCounts, weights: Weights, epochs: int
    ) -> None:
        self._settings, self._weights, self._epochs = settings, weights, epochs
        self._classes = class_indices(settings.classes, names, _KEY)
        self._holds = _positives(settings, self._classes, pixels)

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[Draw]:
        """Return `count` samples; those that are not positive come from frames without the classes."""
        chosen = round(count * positive_share(self._settings, epoch, self._epochs))
        return [
            *draw_frames(self._weights * self._holds, chosen, rng, self._classes),
            *draw_frames(self._weights * ~self._holds, count - chosen, rng),
        ]


BALANCES: dict[type[Balance], Callable[[Any, Sequence[str], PixelCounts, Weights, int], BalancePlan]] = {
    ClassCrops: ClassCropsPlan,
    PositiveShare: PositivePlan,
}
"""(settings, class names, pixels (frames, classes + 1), weights (frames,), number of epochs) -> what is drawn."""
check_entries(BALANCES, Balance, "views/balance.py: BALANCES")


def draw_frames(weights: Weights, count: int, rng: np.random.Generator, classes: tuple[int, ...] = ()) -> list[Draw]:
    """Draw `count` frames by their weights, each to be cut around a pixel of `classes`."""
    return [Draw(row, classes) for row in systematic(weights, count, rng).tolist()]


def systematic(weights: Weights, count: int, rng: np.random.Generator) -> Rows:
    """Draw `count` rows; each as often as its share of `weights` says, rounded down or up by chance."""
    if count == 0:
        return np.empty(0, np.intp)
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order])
    points = (np.arange(count) + rng.random()) * (edges[-1] / count)
    return order[np.searchsorted(edges, np.minimum(points, np.nextafter(edges[-1], 0)), side="right")]


def class_weights(crops: ClassCrops, names: Sequence[str], pixels: PixelCounts) -> Weights:
    """Return how often each class is chosen: (classes,); 0 for classes that no frame has, which may not be named."""
    counts = pixels[:, :-1].sum(0)
    if not isinstance(crops.classes, dict):
        present = counts > 0
        share = np.where(present, counts, counts.sum()) / counts.sum()
        return np.asarray(np.where(present, CLASS_WEIGHTS[crops.classes](share), 0.0), np.float64)
    weights = np.zeros(len(names))
    weights[list(class_indices(tuple(crops.classes), names, _KEY))] = list(crops.classes.values())
    absent = [name for name, weight, count in zip(names, weights, counts, strict=True) if weight and not count]
    if absent:
        raise FoldsegError(f"{_KEY}: no training image has {shorten(absent)}")
    return weights


def positive_share(positive: PositiveShare, epoch: int, epochs: int) -> float:
    """Slide from `start` in the first epoch to `end` in the last."""
    return positive.start + (positive.end - positive.start) * min(1.0, epoch / max(1, epochs - 1))


def class_indices(wanted: Sequence[str], names: Sequence[str], key: str) -> tuple[int, ...]:
    """Return the indices of classes by name; FoldsegError that names `key` for unknown ones."""
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise FoldsegError(f"{key}: unknown classes {shorten(unknown)}; valid are {', '.join(names)}")
    return tuple(names.index(name) for name in wanted)


def _positives(positive: PositiveShare, wanted: Sequence[int], pixels: PixelCounts) -> NDArray[np.bool_]:
    """Return (frames,): which have enough pixels of the wanted classes. FoldsegError if a side is needed but empty."""
    holds = pixels[:, list(wanted)].sum(1) >= positive.min_pixels
    shares, names = (positive.start, positive.end), ", ".join(positive.classes)
    if max(shares) > 0 and not holds.any():
        raise FoldsegError(f"sampling.balance: no training image has {positive.min_pixels} pixels of {names}")
    if min(shares) < 1 and holds.all():
        raise FoldsegError(
            f"sampling.balance: every training image has {positive.min_pixels} pixels of {names}, so none is left for "
            f"the share without (start {shares[0]}, end {shares[1]}); raise min_pixels or use kind class_crops"
        )
    return holds

"""Balances of classes in an epoch: which of the data set's own frames each kind of balance draws."""

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


def _inverse(share: Weights) -> Weights:
    return 1 / share


def _inverse_root(share: Weights) -> Weights:
    return 1 / np.sqrt(share)


CLASS_WEIGHTS: dict[str, Callable[[Weights], Weights]] = {
    "uniform": np.ones_like,
    "inverse_frequency": _inverse,
    "inverse_root": _inverse_root,
}
"""Name -> a function of the classes' shares of all pixels (classes,), above 0, to their weights (classes,)."""
check_entries(CLASS_WEIGHTS, ClassRule, "views/balance.py: CLASS_WEIGHTS")


@dataclass(frozen=True)
class PlannedSample:
    """One sample: the index of its frame, and the classes that its crop must show. Without any it may lie anywhere."""

    frame: int
    classes: tuple[int, ...] = ()


class BalancePlan(Protocol):
    """Draws the frames of an epoch so that their classes are balanced."""

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[PlannedSample]:
        """Return `count` samples of the data set's own frames."""


class PlainPlan:
    """Draws every frame as often as its weight (frames,) says. Crops lie anywhere."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[PlannedSample]:
        """Return `count` samples."""
        return draw_frames(self._weights, count, rng)


class ClassCropsPlan:
    """Draws a share of the samples to be cut around a pixel of a chosen class, the others anywhere."""

    def __init__(
        self, settings: ClassCrops, names: Sequence[str], pixels: PixelCounts, weights: Weights, epochs: int
    ) -> None:
        self._share, self._weights = settings.share, weights
        self._class_weights = class_weights(settings, names, pixels)
        self._frames_with = [np.flatnonzero(column) for column in (pixels[:, :-1] > 0).T]  # one array per class

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[PlannedSample]:
        """Return `count` samples."""
        balanced = round(count * self._share)
        chosen_classes = draw_systematically(self._class_weights, balanced, rng)
        per_class = np.bincount(chosen_classes, minlength=len(self._frames_with))
        samples = draw_frames(self._weights, count - balanced, rng)
        for index, number in enumerate(per_class.tolist()):
            frames = self._frames_with[index]
            rows = draw_systematically(self._weights[frames], number, rng)
            samples += [PlannedSample(int(frames[row]), (index,)) for row in rows]
        return samples


class PositivePlan:
    """Draws a share of the samples, which changes over the epochs, to be cut around a pixel of given classes."""

    def __init__(
        self, settings: PositiveShare, names: Sequence[str], pixels: PixelCounts, weights: Weights, epochs: int
    ) -> None:
        self._settings, self._weights, self._epochs = settings, weights, epochs
        self._classes = class_indices(settings.classes, names, _KEY)
        self._is_positive = _find_positives(settings, self._classes, pixels)

    def draw(self, count: int, epoch: int, rng: np.random.Generator) -> list[PlannedSample]:
        """Return `count` samples. Those that are not positive come from frames without the classes."""
        positive = round(count * positive_share(self._settings, epoch, self._epochs))
        return [
            *draw_frames(self._weights * self._is_positive, positive, rng, self._classes),
            *draw_frames(self._weights * ~self._is_positive, count - positive, rng),
        ]


BALANCES: dict[type[Balance], Callable[[Any, Sequence[str], PixelCounts, Weights, int], BalancePlan]] = {
    ClassCrops: ClassCropsPlan,
    PositiveShare: PositivePlan,
}
"""Settings -> the class of its plan, built from (settings, class names, pixels (frames, classes + 1), weights of the
frames (frames,), number of epochs)."""
check_entries(BALANCES, Balance, "views/balance.py: BALANCES")


def draw_frames(
    weights: Weights, count: int, rng: np.random.Generator, classes: tuple[int, ...] = ()
) -> list[PlannedSample]:
    """Draw `count` frames by their weights (frames,), each to be cut around a pixel of `classes`."""
    return [PlannedSample(row, classes) for row in draw_systematically(weights, count, rng).tolist()]


def draw_systematically(weights: Weights, count: int, rng: np.random.Generator) -> Rows:
    """Draw `count` indices of `weights`, each as often as its share of them says, rounded down or up by chance."""
    if count == 0:
        return np.empty(0, np.intp)
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order])
    points = (np.arange(count) + rng.random()) * (edges[-1] / count)
    return order[np.searchsorted(edges, np.minimum(points, np.nextafter(edges[-1], 0)), side="right")]


def class_weights(crops: ClassCrops, names: Sequence[str], pixels: PixelCounts) -> Weights:
    """Return the weight of each class, (classes,): 0 for classes that no frame has.

    FoldsegError if the settings name such a class.
    """
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
    """Return the share of positive samples in an epoch: it moves from `start` in the first to `end` in the last."""
    return positive.start + (positive.end - positive.start) * min(1.0, epoch / max(1, epochs - 1))


def class_indices(wanted: Sequence[str], names: Sequence[str], key: str) -> tuple[int, ...]:
    """Return the indices of the `wanted` classes in `names`. FoldsegError that begins with `key` for unknown ones."""
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise FoldsegError(f"{key}: unknown classes {shorten(unknown)}; valid are {', '.join(names)}")
    return tuple(names.index(name) for name in wanted)


def _find_positives(positive: PositiveShare, classes: Sequence[int], pixels: PixelCounts) -> NDArray[np.bool_]:
    """Return which frames have enough pixels of the classes, (frames,).

    FoldsegError if frames with them, or frames without, are needed, and there are none.
    """
    is_positive = pixels[:, list(classes)].sum(1) >= positive.min_pixels
    shares, names = (positive.start, positive.end), ", ".join(positive.classes)
    if max(shares) > 0 and not is_positive.any():
        raise FoldsegError(f"sampling.balance: no training image has {positive.min_pixels} pixels of {names}")
    if min(shares) < 1 and is_positive.all():
        raise FoldsegError(
            f"sampling.balance: every training image has {positive.min_pixels} pixels of {names}, so none is left for "
            f"the share without (start {shares[0]}, end {shares[1]}); raise min_pixels or use kind class_crops"
        )
    return is_positive

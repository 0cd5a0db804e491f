"""Probabilities in, probabilities out: the weighted mean of members, one image in memory at a time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

Probabilities = NDArray[np.float32]


def weighted_sum(maps: Iterable[tuple[Quantised, float]], name: str = "") -> Probabilities:
    """Return the sum of weight * map, (classes, H, W) float32, of (map, weight) pairs.

    `maps` is consumed one by one, so memory does not grow with their number. FoldsegError naming the image when there
    are none, or sizes or numbers of classes differ.
    """
    total: Probabilities | None = None
    for quantised, weight in maps:
        part = quantised * np.float32(weight)
        total = part if total is None else added(total, part, name)
    if total is None:
        raise FoldsegError(f"{name}: no member has predicted it")
    return total


def added(total: Probabilities, part: Probabilities, name: str = "") -> Probabilities:
    """Add `part` to `total`, in place. FoldsegError naming the image when their shapes differ."""
    if total.shape != part.shape:
        raise FoldsegError(f"{name}: members differ in classes or size: {total.shape} and {part.shape}")
    total += part
    return total


def normalised(total: Probabilities) -> Probabilities:
    """Scale a weighted sum, in place, so that the classes sum to 1 at every pixel.

    Rounding leaves sums a little off. A pixel that is 0 in every class cannot be, with fewer than 510 classes.
    """
    total /= total.sum(0)
    return total


def blend(maps: Iterable[tuple[Quantised, float]], name: str = "") -> Probabilities:
    """Return the weighted mean of quantised maps: (classes, H, W) float32 whose classes sum to 1 at every pixel."""
    return normalised(weighted_sum(maps, name))


def argmax(probabilities: Probabilities) -> NDArray[np.uint8]:
    """(classes, H, W) -> (H, W) uint8 class indices: the first of the most probable classes.

    A running maximum, class by class: numpy's own argmax over the first axis takes about ten times as long.
    """
    best = probabilities[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for index in range(1, len(probabilities)):
        higher = probabilities[index] > best
        np.copyto(labels, np.uint8(index), where=higher)
        np.maximum(best, probabilities[index], out=best)
    return labels

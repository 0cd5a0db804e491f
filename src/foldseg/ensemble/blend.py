"""Probabilities in, probabilities out: the weighted mean of members, one image in memory at a time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

Probabilities = NDArray[np.float32]


def blend(maps: Iterable[tuple[Quantised, float]], name: str = "") -> Probabilities:
    """Return the weighted mean of quantised maps: (classes, H, W) float32 whose classes sum to 1 at every pixel.

    `maps` yields (map, weight); it is consumed one by one, so memory does not grow with the number of members.
    FoldsegError naming the image when sizes or numbers of classes differ.
    """
    total: Probabilities | None = None
    for quantised, weight in maps:
        if total is None:
            total = quantised * np.float32(weight)
        elif total.shape != quantised.shape:
            raise FoldsegError(f"{name}: members differ in classes or size: {total.shape} and {quantised.shape}")
        else:
            total += quantised * np.float32(weight)
    if total is None:
        raise FoldsegError(f"{name}: no member has predicted it")
    # Rounding leaves the sum a little off; a pixel that is 0 in every class cannot be, with fewer than 510 classes
    total /= total.sum(0)
    return total


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

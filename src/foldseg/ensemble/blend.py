"""Probabilities in, probabilities out: the weighted mean of members, one image in memory at a time."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

_BLOCK = 1 << 16  # pixels

Probabilities = NDArray[np.float32]
Planes = Quantised | NDArray[np.uint16]
"""(classes, H, W): round(255 p), or sums of such planes."""


def merge_classes(quantised: Quantised, into: NDArray[np.intp]) -> Planes:
    """Sum the planes of the classes that become one: (C, H, W) uint8 -> (merged classes, H, W) uint16.

    `into[c]` is the index that class c is merged into (see `LabelSet.merged_into`). Sums are exact: the 254 planes that
    a label set may have fit into 16 bits. Where nothing is merged or moved, the planes come back as they are.
    """
    if np.array_equal(into, np.arange(len(into))):
        return quantised
    merged = np.zeros((int(into.max()) + 1, *quantised.shape[1:]), np.uint16)
    for index, plane in zip(into, quantised, strict=True):
        merged[index] += plane
    return merged


def weighted_sum(maps: Iterable[tuple[Planes, float]], name: str = "") -> Probabilities:
    """Return the sum of weight * map, (classes, H, W) float32, of (map, weight) pairs.

    `maps` is consumed one by one, so memory does not grow with their number. FoldsegError naming the image when there
    are none, or sizes or numbers of classes differ.
    """
    total: Probabilities | None = None
    for planes, weight in maps:
        part = planes * np.float32(weight)
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


def blend(maps: Iterable[tuple[Planes, float]], name: str = "") -> Probabilities:
    """Return the weighted mean of quantised maps: (classes, H, W) float32 whose classes sum to 1 at every pixel."""
    return normalised(weighted_sum(maps, name))


def argmax(maps: NDArray[Any]) -> NDArray[np.uint8]:
    """(classes, H, W) of any dtype -> (H, W) uint8 indices: the first of the largest classes.

    A running maximum over blocks that fit a processor's cache, in one pass over the maps; numpy's own argmax over the
    first axis takes six times as long.
    """
    planes = maps.reshape(len(maps), -1)
    labels = np.zeros(planes.shape[1], np.uint8)
    for start in range(0, planes.shape[1], _BLOCK):
        part, label = planes[:, start : start + _BLOCK], labels[start : start + _BLOCK]
        best = part[0].copy()
        leads = np.empty(len(label), bool)
        led = leads.view(np.uint8)
        for index in range(1, len(part)):
            np.greater(part[index], best, out=leads)
            np.maximum(best, part[index], out=best)
            led *= np.uint8(index)  # indices rise, so the largest that ever led is the one that leads
            np.maximum(label, led, out=label)
    return labels.reshape(maps.shape[1:])

"""Masks in run-length encoding (RLE): what contests hand in, and a quick way to count without pictures.

The RLE of a mask is an int64 array (n, 3): row, first column and last column (inclusive) of each segment of pixels, in
the order in which a picture is read. Segments do not overlap. An RLE does not know the size of the picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import Mask

Rle = NDArray[np.int64]
ROW, FIRST, LAST = 0, 1, 2

EMPTY_RLE: Rle = np.empty((0, 3), np.int64)
EMPTY_RLE.flags.writeable = False


def rles_of_labels(labels: Mask, classes: Sequence[int]) -> list[Rle]:
    """Class indices (H, W) uint8 -> the RLE of each of `classes`, which are found in one pass over the picture."""
    number_of = np.zeros(256, np.uint8)  # 1, 2, ... for the classes that are wanted; the rest becomes one
    number_of[list(classes)] = np.arange(1, len(classes) + 1)
    numbers = cv2.LUT(labels, number_of)
    begins = np.empty(numbers.shape, bool)
    begins[:, 0] = True
    np.not_equal(numbers[:, 1:], numbers[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=numbers.size)
    number = numbers.reshape(-1)[starts]
    rles = []
    for wanted in range(1, len(classes) + 1):
        chosen = number == wanted
        row, first = np.divmod(starts[chosen], numbers.shape[1])
        rles.append(np.stack([row, first, first + lengths[chosen] - 1], 1))
    return rles


def rle_of_mask(mask: NDArray[np.bool_]) -> Rle:
    """(H, W) bool -> the RLE of its True pixels."""
    return rles_of_labels(np.ascontiguousarray(mask).view(np.uint8), [1])[0]


def mask_of_rle(rle: Rle, size: tuple[int, int]) -> NDArray[np.bool_]:
    """RLE -> (H, W) bool; the inverse of `rle_of_mask` for a picture of `size` (height, width)."""
    steps = np.zeros((size[0], size[1] + 1), np.int8)
    steps[rle[:, ROW], rle[:, FIRST]] += 1
    steps[rle[:, ROW], rle[:, LAST] + 1] -= 1
    return steps[:, :-1].cumsum(1, dtype=np.int8).view(np.bool_)


def pixels(rle: Rle) -> int:
    """Return how many pixels a mask has."""
    return int((rle[:, LAST] - rle[:, FIRST] + 1).sum())


def pixels_shared(a: Rle, b: Rle) -> int:
    """Return how many pixels two masks share."""
    if not len(a) or not len(b):
        return 0
    width = max(a[:, LAST].max(), b[:, LAST].max()) + 1
    starts, ends = a[:, ROW] * width + a[:, FIRST], a[:, ROW] * width + a[:, LAST] + 1
    before = np.concatenate([[0], np.cumsum(ends - starts)])  # pixels of a before its i-th segment

    def pixels_of_a_before(place: NDArray[np.int64]) -> NDArray[np.int64]:
        after = np.searchsorted(starts, place, side="right")  # the first segment of a that begins after the place
        return np.minimum(before[after], before[after - 1] + np.maximum(place - starts[after - 1], 0)) * (after > 0)

    row = b[:, ROW] * width
    return int((pixels_of_a_before(row + b[:, LAST] + 1) - pixels_of_a_before(row + b[:, FIRST])).sum())

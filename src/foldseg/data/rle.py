"""Masks in run-length encoding (RLE): what contests hand in, and a quick way to count without pictures.

The RLE of a mask is an int64 array (n, 3): row, first column and last column (inclusive) of each segment of pixels, in
the order in which a picture is read. Segments do not overlap. An RLE does not know the size of the picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet, Mask

Rle = NDArray[np.int64]
ROW, FIRST, LAST = 0, 1, 2

EMPTY_RLE: Rle = np.empty((0, 3), np.int64)
EMPTY_RLE.flags.writeable = False


def encode_classes(labels: Mask, classes: Sequence[int]) -> list[Rle]:
    """Return the RLE of each of `classes` in a mask of class indices (H, W) uint8, in one pass over the picture."""
    number_of_class = np.zeros(256, np.uint8)  # 1, 2, ... for `classes`; all other classes become 0
    number_of_class[list(classes)] = np.arange(1, len(classes) + 1)
    numbers = cv2.LUT(labels, number_of_class)
    begins = np.empty(numbers.shape, bool)  # where a segment begins
    begins[:, 0] = True
    np.not_equal(numbers[:, 1:], numbers[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=numbers.size)
    number_of_segment = numbers.reshape(-1)[starts]
    rles = []
    for number in range(1, len(classes) + 1):
        is_of_class = number_of_segment == number
        row, first = np.divmod(starts[is_of_class], numbers.shape[1])
        last = first + lengths[is_of_class] - 1
        rles.append(np.stack([row, first, last], 1))
    return rles


def encode_labels(mask: Mask, labels: LabelSet, classes: Sequence[int]) -> list[Rle]:
    """Return the RLE of each of `classes` in a mask (H, W) uint8 of class indices or, if they overlap, class bits."""
    if not labels.overlapping:
        return encode_classes(mask, classes)
    return [encode_mask(labels.values_of_classes[index][mask]) for index in classes]


def encode_mask(mask: NDArray[np.bool_]) -> Rle:
    """Return the RLE of the True pixels of a mask (H, W) bool."""
    return encode_classes(np.ascontiguousarray(mask).view(np.uint8), [1])[0]


def decode_rle(rle: Rle, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of an RLE: the inverse of `encode_mask`. `size`: (height, width) of the picture."""
    steps = np.zeros((size[0], size[1] + 1), np.int8)
    steps[rle[:, ROW], rle[:, FIRST]] += 1
    steps[rle[:, ROW], rle[:, LAST] + 1] -= 1
    return steps[:, :-1].cumsum(1, dtype=np.int8).view(np.bool_)


def count_rle_pixels(rle: Rle) -> int:
    """Return how many pixels a mask has."""
    return int((rle[:, LAST] - rle[:, FIRST] + 1).sum())


def count_shared_pixels(a: Rle, b: Rle) -> int:
    """Return how many pixels two masks share."""
    if not len(a) or not len(b):
        return 0
    # A pixel's position is that in a picture that is as wide as both masks need
    width = max(a[:, LAST].max(), b[:, LAST].max()) + 1
    starts, ends = a[:, ROW] * width + a[:, FIRST], a[:, ROW] * width + a[:, LAST] + 1
    before_segment = np.concatenate([[0], np.cumsum(ends - starts)])  # pixels of a before its i-th segment

    def count_before(position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many pixels of a come before each position."""
        following = np.searchsorted(starts, position, side="right")  # first segment of a that begins after it
        within = np.maximum(position - starts[following - 1], 0)
        pixels = np.minimum(before_segment[following], before_segment[following - 1] + within)
        return pixels * (following > 0)

    row = b[:, ROW] * width
    return int((count_before(row + b[:, LAST] + 1) - count_before(row + b[:, FIRST])).sum())

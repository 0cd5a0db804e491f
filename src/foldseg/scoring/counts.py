"""Counting pixels: all that an IoU of any kind needs to know of an image.

Counts are int64 of shape (classes, 3): pixels that truth and prediction share, pixels of the truth, pixels of the
prediction; void pixels of the truth are in none of them. Counts of several images are stacked to (images, classes, 3).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.data.rle import EMPTY_RLE, Rle, count_rle_pixels, count_shared_pixels

Counts = NDArray[np.int64]
SHARED, TRUTH, PREDICTION = 0, 1, 2

_BLOCK = 1 << 18  # pixels: what fits a processor's cache, and less than float32 can count


def confusion_matrix(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) int64: row = class of the truth, column = class of the prediction; void left out.

    truth and prediction are (H, W) uint8 class indices; only the truth may hold 255 (void). ValueError otherwise.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {truth.shape} (height, width)")
    if int(prediction.max(initial=0)) >= classes:
        raise ValueError(f"the prediction holds class {prediction.max()}; there are classes 0 to {classes - 1}")
    right, given = truth.reshape(-1), prediction.reshape(-1)
    table = np.zeros((256, classes), np.int64)
    for start in range(0, right.size, _BLOCK):
        table += _count_pairs(right[start : start + _BLOCK], given[start : start + _BLOCK], classes)
    if table[classes:IGNORE_INDEX].any():
        raise ValueError(f"the truth holds class {truth[truth != IGNORE_INDEX].max()}; there are {classes} classes")
    return table[:classes]


def _count_pairs(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """(n,) and (n,) -> (256, classes): how often every pair of values occurs.

    Neighbours mostly agree, so runs of equal pairs are counted by their lengths, three times as fast as pixel by pixel.
    """
    changes = truth[1:] != truth[:-1]
    changes |= prediction[1:] != prediction[:-1]
    if np.count_nonzero(changes) * 8 > len(truth):  # noise: single pixels are quicker then
        return joint_histogram([truth, prediction], [256, classes])
    last = np.append(np.flatnonzero(changes), len(truth) - 1)
    pairs = truth[last] * np.intp(classes) + prediction[last]
    lengths = np.diff(last, prepend=-1)
    return np.bincount(pairs, lengths, 256 * classes).astype(np.int64).reshape(256, classes)


def joint_histogram(
    channels: list[NDArray[np.uint8]], sizes: list[int], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Joint histogram of arrays whose values are below `sizes`; exact below 2**24 pixels, OpenCV counts in float32."""
    bounds = [bound for size in sizes for bound in (0, size)]
    below = None if mask is None else mask.view(np.uint8)
    table = cv2.calcHist(channels, list(range(len(channels))), below, sizes, bounds)
    return table.reshape(sizes).astype(np.int64)


def counts_of_confusion(confusion: NDArray[np.int64]) -> Counts:
    """(..., classes, classes) confusion -> (..., classes, 3) counts."""
    shared = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([shared, confusion.sum(-1), confusion.sum(-2)], -1)


def count_pixels(truth: Mask, prediction: Mask, classes: int) -> Counts:
    """Counts of one image; see `confusion_matrix` for the arguments."""
    return counts_of_confusion(confusion_matrix(truth, prediction, classes))


def count_masks(truth: Mask, masks: NDArray[np.bool_]) -> Counts:
    """Counts of one image from masks (classes, H, W) that may overlap; the truth is class indices (H, W) uint8."""
    if truth.shape != masks.shape[1:]:
        raise ValueError(f"the masks are {masks.shape[1:]}, the truth {truth.shape} (height, width)")
    classes, right = len(masks), truth.reshape(-1)
    counts = np.zeros((classes, 3), np.int64)
    for start in range(0, right.size, _BLOCK):
        part = right[start : start + _BLOCK]
        counts[:, TRUTH] += joint_histogram([part], [256])[:classes]
        for index, mask in enumerate(masks):
            below = joint_histogram([part], [256], mask.reshape(-1)[start : start + _BLOCK])
            counts[index, SHARED] += below[index]
            counts[index, PREDICTION] += below[:IGNORE_INDEX].sum()
    return counts


def count_rles(truth: Sequence[Rle], prediction: Sequence[Rle], void: Rle = EMPTY_RLE) -> Counts:
    """Counts of one image from the RLE of every class, which may overlap; nothing counts where the truth is void."""
    return np.array(
        [
            [
                count_shared_pixels(right, given),
                count_rle_pixels(right),
                count_rle_pixels(given) - count_shared_pixels(void, given),
            ]
            for right, given in zip(truth, prediction, strict=True)
        ],
        np.int64,
    ).reshape(-1, 3)

"""Counting pixels: all that an IoU of any kind needs to know of an image.

Counts are int64 of shape (classes, 3): pixels that truth and prediction share, pixels of the truth, pixels of the
prediction; void pixels of the truth are in none of them. Counts of several images are stacked to (images, classes, 3).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.data.runs import NO_RUNS, Runs, pixels, pixels_shared

Counts = NDArray[np.int64]
SHARED, TRUTH, PREDICTION = 0, 1, 2

_EXACT = 1 << 23  # pixels


def confusion_matrix(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) int64: row = class of the truth, column = class of the prediction; void left out.

    truth and prediction are (H, W) uint8 class indices; only the truth may hold 255 (void). ValueError otherwise.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {truth.shape} (height, width)")
    table = np.zeros((256, classes), np.int64)
    for rows in _in_parts(truth.shape):
        # One row for each of the 256 values of the truth: what is void or wrong shows without another look
        part = cv2.calcHist([truth[rows], prediction[rows]], [0, 1], None, [256, classes], [0, 256, 0, classes])
        table += part.astype(np.int64)
    if table.sum() != truth.size:
        raise ValueError(f"the prediction holds class {prediction.max()}; there are classes 0 to {classes - 1}")
    if table[classes:IGNORE_INDEX].any():
        raise ValueError(f"the truth holds class {truth[truth != IGNORE_INDEX].max()}; there are {classes} classes")
    return table[:classes]


def _in_parts(shape: tuple[int, ...]) -> list[slice]:
    """Rows that are counted at a time: OpenCV counts in float32, which is exact below 2**24."""
    step = max(1, _EXACT // max(1, shape[1]))
    return [slice(start, start + step) for start in range(0, shape[0], step)]


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
    classes = len(masks)
    counts = np.zeros((classes, 3), np.int64)
    for rows in _in_parts(truth.shape):
        part = np.ascontiguousarray(truth[rows])
        counts[:, TRUTH] += _values(part)[:classes]
        for index, mask in enumerate(masks):
            below = _values(part, mask[rows])  # values of the truth below the mask
            counts[index, SHARED] += below[index]
            counts[index, PREDICTION] += below[:IGNORE_INDEX].sum()
    return counts


def _values(labels: Mask, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """(256,): how often every value occurs, within the mask if there is one."""
    below = None if mask is None else np.ascontiguousarray(mask).view(np.uint8)
    return cv2.calcHist([labels], [0], below, [256], [0, 256]).reshape(-1).astype(np.int64)


def count_runs(truth: Sequence[Runs], prediction: Sequence[Runs], void: Runs = NO_RUNS) -> Counts:
    """Counts of one image from the runs of every class, which may overlap; nothing counts where the truth is void."""
    return np.array(
        [
            [pixels_shared(right, given), pixels(right), pixels(given) - pixels_shared(void, given)]
            for right, given in zip(truth, prediction, strict=True)
        ],
        np.int64,
    ).reshape(-1, 3)

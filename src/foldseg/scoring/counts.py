"""Counting pixels: all that an IoU of any kind needs to know of an image.

Counts are int64 of shape (classes, 3): pixels that truth and prediction share, pixels of the truth, pixels of the
prediction; void pixels of the truth are in none of them. Counts of several images are stacked to (images, classes, 3).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask

Counts = NDArray[np.int64]
SHARED, TRUTH, PREDICTION = 0, 1, 2


def confusion_matrix(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) int64: row = class of the truth, column = class of the prediction; void left out.

    truth and prediction are (H, W) uint8 class indices; only the truth may hold 255 (void). ValueError otherwise.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {truth.shape} (height, width)")
    if int(prediction.max(initial=0)) >= classes:
        raise ValueError(f"the prediction holds class {prediction.max()}; there are classes 0 to {classes - 1}")
    rows = cv2.LUT(truth, _row_of(classes)).astype(np.uint16)  # void becomes one more row
    rows *= np.uint16(classes)
    rows += prediction
    table = np.bincount(rows.ravel(), minlength=(classes + 2) * classes).reshape(-1, classes)
    if table[classes + 1 :].any():
        raise ValueError(f"the truth holds class {truth[truth != IGNORE_INDEX].max()}; there are {classes} classes")
    return table[:classes]


def _row_of(classes: int) -> NDArray[np.uint8]:
    """Class index -> row of the table; void -> the row after the last class, impossible classes -> one more."""
    table = np.full(256, classes + 1, np.uint8)
    table[:classes] = np.arange(classes)
    table[IGNORE_INDEX] = classes
    return table


def counts_of_confusion(confusion: NDArray[np.int64]) -> Counts:
    """(..., classes, classes) confusion -> (..., classes, 3) counts."""
    shared = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([shared, confusion.sum(-1), confusion.sum(-2)], -1)


def count_pixels(truth: Mask, prediction: Mask, classes: int) -> Counts:
    """Counts of one image; see `confusion_matrix` for the arguments."""
    return counts_of_confusion(confusion_matrix(truth, prediction, classes))

"""Counts the pixels of an image that every kind of IoU is computed from.

Counts are int64 of shape (classes, 3): pixels that truth and prediction share, pixels of the truth, and pixels of the
prediction. Void pixels of the truth are in none of them. Counts of several images are stacked to (images, classes, 3).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.data.rle import EMPTY_RLE, Rle, count_rle_pixels, count_shared_pixels

Counts = NDArray[np.int64]
SHARED, TRUTH, PREDICTION = 0, 1, 2

_BLOCK = 1 << 18  # pixels: so many fit into a processor's cache, and float32 can count them


def confusion_matrix(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) int64: the row is the class of the truth, the column that of the prediction.

    `truth` and `prediction` are (H, W) uint8 class indices. Only the truth may hold 255 (void), which is left out.
    For class bits, `classes` is the number of their values. ValueError for other sizes and values.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {truth.shape} (height, width)")
    if int(prediction.max(initial=0)) >= classes:
        raise ValueError(f"the prediction holds class {prediction.max()}; there are classes 0 to {classes - 1}")
    true_pixels, predicted_pixels = truth.reshape(-1), prediction.reshape(-1)
    table = np.zeros((256, classes), np.int64)
    for start in range(0, true_pixels.size, _BLOCK):
        block = np.s_[start : start + _BLOCK]
        table += _count_pairs(true_pixels[block], predicted_pixels[block], classes)
    if table[classes:IGNORE_INDEX].any():
        raise ValueError(f"the truth holds class {truth[truth != IGNORE_INDEX].max()}; there are {classes} classes")
    return table[:classes]


def _count_pairs(truth: Mask, prediction: Mask, classes: int) -> NDArray[np.int64]:
    """Return how often every pair of values occurs: two arrays (n,) -> (256, classes).

    Neighbours mostly agree. So segments of equal pairs are counted by their lengths, which is three times as fast as
    counting pixels.
    """
    changes = truth[1:] != truth[:-1]
    changes |= prediction[1:] != prediction[:-1]
    if np.count_nonzero(changes) * 8 > len(truth):  # noise: counting pixels is faster then
        return joint_histogram([truth, prediction], [256, classes])
    last_pixels = np.append(np.flatnonzero(changes), len(truth) - 1)  # of the segments
    pairs = truth[last_pixels] * np.intp(classes) + prediction[last_pixels]
    lengths = np.diff(last_pixels, prepend=-1)
    return np.bincount(pairs, lengths, 256 * classes).astype(np.int64).reshape(256, classes)


def joint_histogram(
    channels: list[NDArray[np.uint8]], sizes: list[int], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return the joint histogram (*sizes) of arrays whose values are below `sizes`, of the pixels in `mask`.

    It is exact below 2**24 pixels: OpenCV counts in float32.
    """
    bounds = [bound for size in sizes for bound in (0, size)]
    mask_bytes = None if mask is None else mask.view(np.uint8)
    table = cv2.calcHist(channels, list(range(len(channels))), mask_bytes, sizes, bounds)
    return table.reshape(sizes).astype(np.int64)


def counts_of_confusion(confusion: NDArray[np.int64]) -> Counts:
    """Return the counts (..., classes, 3) of confusion matrices (..., classes, classes)."""
    shared = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([shared, confusion.sum(-1), confusion.sum(-2)], -1)


def count_pixels(truth: Mask, prediction: Mask, classes: int) -> Counts:
    """Return the counts (classes, 3) of one image; see `confusion_matrix` for the arguments."""
    return counts_of_confusion(confusion_matrix(truth, prediction, classes))


def count_prediction(truth: Mask, prediction: Mask, labels: LabelSet) -> Counts:
    """Return the counts (classes, 3) of one image from masks (H, W) uint8: class indices, or class bits.

    Only the truth may hold 255 (void), which is left out. ValueError for other sizes and values.
    """
    table = confusion_matrix(truth, prediction, labels.number_of_values)
    if not labels.overlapping:
        return counts_of_confusion(table)
    planes = labels.values_of_classes[:, : labels.number_of_values].astype(np.int64)
    shared = ((planes @ table) * planes).sum(1)
    return np.stack([shared, planes @ table.sum(1), planes @ table.sum(0)], -1)


def confuse_bits(truth: Mask, prediction: Mask, labels: LabelSet) -> NDArray[np.int64]:
    """Return for overlapping classes how often each is predicted where another is, (classes, classes) int64.

    Row i, column j: pixels of class i whose truth lacks class j, and that are predicted as j. On the diagonal: pixels
    of the class that are predicted as it. Rows need not sum to the pixels of their class.
    """
    table = confusion_matrix(truth, prediction, labels.number_of_values)
    planes = labels.values_of_classes[:, : labels.number_of_values].astype(np.int64)
    predicted_as = table @ planes.T  # (values of the truth, classes)
    confusion = planes @ (predicted_as * (1 - planes.T))
    np.fill_diagonal(confusion, (planes * predicted_as.T).sum(1))
    return confusion


def count_masks(truth: Mask, masks: NDArray[np.bool_]) -> Counts:
    """Return the counts (classes, 3) of one image from masks (classes, H, W) that may overlap.

    `truth` is class indices (H, W) uint8, 255 for void.
    """
    if truth.shape != masks.shape[1:]:
        raise ValueError(f"the masks are {masks.shape[1:]}, the truth {truth.shape} (height, width)")
    classes, true_pixels = len(masks), truth.reshape(-1)
    counts = np.zeros((classes, 3), np.int64)
    for start in range(0, true_pixels.size, _BLOCK):
        block = np.s_[start : start + _BLOCK]
        counts[:, TRUTH] += joint_histogram([true_pixels[block]], [256])[:classes]
        for index, mask in enumerate(masks):
            truth_within_mask = joint_histogram([true_pixels[block]], [256], mask.reshape(-1)[block])
            counts[index, SHARED] += truth_within_mask[index]
            counts[index, PREDICTION] += truth_within_mask[:IGNORE_INDEX].sum()
    return counts


def count_rles(truth: Sequence[Rle], prediction: Sequence[Rle], void: Rle = EMPTY_RLE) -> Counts:
    """Return the counts (classes, 3) of one image from the RLE of every class. Classes may overlap.

    `void`: the RLE of the truth's void pixels, which do not count.
    """
    rows = []
    for true_rle, predicted_rle in zip(truth, prediction, strict=True):
        predicted_pixels = count_rle_pixels(predicted_rle) - count_shared_pixels(void, predicted_rle)
        rows.append([count_shared_pixels(true_rle, predicted_rle), count_rle_pixels(true_rle), predicted_pixels])
    return np.array(rows, np.int64).reshape(-1, 3)

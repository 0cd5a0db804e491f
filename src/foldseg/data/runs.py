"""Masks as runs of pixels along rows: what contests hand in, and a quick way to count without pictures.

Runs are an int64 array (n, 3) of row, first column, last column (inclusive), in the order in which a picture is read;
the runs of one mask do not overlap. They know nothing of the size of the picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import Mask

Runs = NDArray[np.int64]
ROW, FIRST, LAST = 0, 1, 2

NO_RUNS: Runs = np.empty((0, 3), np.int64)
NO_RUNS.flags.writeable = False


def runs_of_labels(labels: Mask, classes: Sequence[int]) -> list[Runs]:
    """Class indices (H, W) uint8 -> the runs of each of `classes`, which are found in one pass over the picture."""
    number_of = np.zeros(256, np.uint8)  # 1, 2, ... for the classes that are wanted; the rest becomes one
    number_of[list(classes)] = np.arange(1, len(classes) + 1)
    numbers = cv2.LUT(labels, number_of)
    begins = np.empty(numbers.shape, bool)
    begins[:, 0] = True
    np.not_equal(numbers[:, 1:], numbers[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=numbers.size)
    number = numbers.reshape(-1)[starts]
    runs = []
    for wanted in range(1, len(classes) + 1):
        chosen = number == wanted
        row, first = np.divmod(starts[chosen], numbers.shape[1])
        runs.append(np.stack([row, first, first + lengths[chosen] - 1], 1))
    return runs


def runs_of_mask(mask: NDArray[np.bool_]) -> Runs:
    """(H, W) bool -> its runs of True."""
    return runs_of_labels(np.ascontiguousarray(mask).view(np.uint8), [1])[0]


def mask_of_runs(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Runs -> (H, W) bool; the inverse of `runs_of_mask` for a picture of `size` (height, width)."""
    steps = np.zeros((size[0], size[1] + 1), np.int8)
    steps[runs[:, ROW], runs[:, FIRST]] += 1
    steps[runs[:, ROW], runs[:, LAST] + 1] -= 1
    return steps[:, :-1].cumsum(1, dtype=np.int8).view(np.bool_)


def pixels(runs: Runs) -> int:
    """How many pixels runs hold."""
    return int((runs[:, LAST] - runs[:, FIRST] + 1).sum())


def pixels_shared(a: Runs, b: Runs) -> int:
    """How many pixels two masks share."""
    if not len(a) or not len(b):
        return 0
    width = max(a[:, LAST].max(), b[:, LAST].max()) + 1
    starts, ends = a[:, ROW] * width + a[:, FIRST], a[:, ROW] * width + a[:, LAST] + 1
    before = np.concatenate([[0], np.cumsum(ends - starts)])  # pixels of a before its i-th run

    def pixels_of_a_before(place: NDArray[np.int64]) -> NDArray[np.int64]:
        run = np.searchsorted(starts, place, side="right")  # the first run of a that begins after the place
        return np.minimum(before[run], before[run - 1] + np.maximum(place - starts[run - 1], 0)) * (run > 0)

    row = b[:, ROW] * width
    return int((pixels_of_a_before(row + b[:, LAST] + 1) - pixels_of_a_before(row + b[:, FIRST])).sum())

"""How many pixels of each class masks hold."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.data.mask_files import read_index_mask, read_mask
from foldseg.data.reading import AS_SHOWN
from foldseg.errors import FoldsegError, raise_if_any


def count_classes(mask: Mask | None, labels: LabelSet) -> NDArray[np.int64]:
    """Count the pixels of a mask (H, W) uint8 of class indices or class bits: (classes + 1,) int64, void last.

    Without a mask all counts are 0. A pixel of several classes counts for each of them.
    """
    if mask is None:
        return np.zeros(len(labels) + 1, np.int64)
    counts = np.bincount(mask.ravel(), minlength=256)
    return np.append(labels.values_of_classes @ counts, counts[IGNORE_INDEX])


def count_mask(path: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False) -> NDArray[np.int64]:
    """Count the pixels of one mask file: (classes + 1,) int64, void last.

    `encoded`: the file holds class indices or class bits, see `read_index_mask`. A process reads a file again only if
    it has changed.
    FoldsegError if the file cannot be read or holds unknown ids or colours.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error
    counts = _remembered_counts(path, status.st_size, status.st_mtime_ns, labels, pictures, encoded)
    if isinstance(counts, FoldsegError):
        raise counts
    return np.array(counts, np.int64)


@cache
def _remembered_counts(
    path: Path, size: int, time: int, labels: LabelSet, pictures: Pictures, encoded: bool
) -> tuple[int, ...] | FoldsegError:
    """Return the pixels of each class and of void, or the error that says what is wrong with the mask."""
    try:
        mask = read_index_mask(path, labels, pictures) if encoded else read_mask(path, labels, pictures)
    except FoldsegError as error:
        return error
    return tuple(count_classes(mask, labels).tolist())


def count_masks(
    paths: Sequence[Path | None], labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False
) -> NDArray[np.int64]:
    """Count the pixels of mask files: (masks, classes + 1) int64, void last; zeros for a path that is None.

    See `count_mask`. FoldsegError names all masks that cannot be read or that hold unknown ids or colours.
    """
    count = partial(_counts_or_error, labels=labels, pictures=pictures, encoded=encoded)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(count, paths)
        outcomes = list(tqdm(steps, "counting pixels", len(paths), unit="mask", leave=False, disable=None))
    raise_if_any([str(outcome) for outcome in outcomes if isinstance(outcome, FoldsegError)], "masks")
    return np.array(outcomes, np.int64).reshape(-1, len(labels) + 1)


def _counts_or_error(
    path: Path | None, labels: LabelSet, pictures: Pictures, encoded: bool
) -> NDArray[np.int64] | FoldsegError:
    if path is None:
        return count_classes(None, labels)
    try:
        return count_mask(path, labels, pictures, encoded)
    except FoldsegError as error:
        return error

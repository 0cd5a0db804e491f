"""Which frames show the same place: neighbours of one drive, frames of a standing car, copies.

A frame's descriptor holds its contours at 40 x 30 pixels: those of the whole frame, and those of nine windows of it.
Two frames are as similar as the whole of one is to the most similar window of the other. For a second later the car is
further on. Then it sees the middle of what it saw, enlarged, or its left or right part if the car has turned.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.reading import AS_SHOWN, read_small_grey

SAME_PLACE = 0.42
"""Two frames count as the same place from this similarity on. folds/README.md says how it was chosen."""

_SIZE = (40, 30)
"""Width and height of a descriptor's windows, in pixels."""
_CONTOUR = 2.0
"""Standard deviation of the blur that is subtracted, in pixels: what is larger, such as sky and haze, is removed."""
_STRONG = 10.0
"""Grey levels. Contours that are stronger, such as a skyline or a bonnet, count hardly more."""
_ZOOMS = (1.1, 1.22, 1.4)
_BLOCK = 512
"""Number of frames that are compared with as many others at a time."""

Descriptors = NDArray[np.float16]
"""(frames, windows, values): each window is a vector of length 1. The first window is the whole frame."""


def describe_files(paths: Sequence[Path], pictures: Pictures = AS_SHOWN) -> Descriptors:
    """Return the descriptors of image files, 24 kB each. FoldsegError for a damaged file.

    `pictures`: how the files are read. JPEGs are read at a reduced size.
    """
    if not paths:
        return np.zeros((0, len(_windows(1, 1)), _SIZE[0] * _SIZE[1]), np.float16)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        descriptors = pool.map(partial(_describe_file, pictures=pictures), paths)
        label = "looking for frames that are alike"
        return np.stack(list(tqdm(descriptors, total=len(paths), desc=label, unit="image", disable=None)))


def _describe_file(path: Path, pictures: Pictures) -> Descriptors:
    return describe_frame(read_small_grey(path, 3 * _SIZE[0], pictures)).astype(np.float16)


def describe_frame(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the descriptor (windows, values) of a grey picture (H, W) uint8.

    Each window is a vector of length 1, or of length 0 if it is of one colour.
    """
    height, width = grey.shape
    return np.stack([_contours(grey[rows, columns]) for rows, columns in _windows(height, width)])


def _windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return the whole frame, then its left, middle and right part for each zoom, all at middle height."""
    windows = [(slice(0, height), slice(0, width))]
    for zoom in _ZOOMS:
        high, wide = round(height / zoom), round(width / zoom)
        top = (height - high) // 2
        for left in (0, (width - wide) // 2, width - wide):
            windows.append((slice(top, top + high), slice(left, left + wide)))
    return windows


def _contours(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the contours of a window as a vector of mean 0 and length 1."""
    small = cv2.resize(grey, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), _CONTOUR)
    contours = np.tanh((small - blurred) / _STRONG).ravel()
    contours -= contours.mean()
    length = max(float(np.linalg.norm(contours)), 1e-6)
    return np.asarray(contours / length, np.float32)


def compare_frames(ours: Descriptors, theirs: Descriptors) -> NDArray[np.float32]:
    """Return the similarities (our frames, their frames) of two sets of descriptors, from -1 to 1."""
    a, b = ours.astype(np.float32), theirs.astype(np.float32)
    best = a[:, 0] @ b[:, 0].T
    for window in range(1, a.shape[1]):
        np.maximum(best, a[:, window] @ b[:, 0].T, out=best)
        np.maximum(best, a[:, 0] @ b[:, window].T, out=best)
    return best


@dataclass(frozen=True)
class NearestFrames:
    """For each frame the most similar one of another side: its index, or -1 if there is none, and its similarity."""

    index: NDArray[np.intp]
    similarity: NDArray[np.float32]


def find_nearest(descriptors: Descriptors, sides: NDArray[np.generic]) -> NearestFrames:
    """Return for each frame the most similar one of another side; `sides`: (frames,) of any type.

    It takes as many comparisons as there are pairs across a border. Memory does not grow with their number.
    """
    index = np.full(len(descriptors), -1, np.intp)
    best = np.full(len(descriptors), -2, np.float32)
    blocks = _blocks(sides)
    for number, (side, ours) in enumerate(blocks):
        for other_side, theirs in blocks[number + 1 :]:
            if side != other_side:
                similarities = compare_frames(descriptors[ours], descriptors[theirs])
                _update(index, best, ours, theirs, similarities)
                _update(index, best, theirs, ours, similarities.T)
    return NearestFrames(index, best)


def find_pairs(descriptors: Descriptors, similarity: float) -> NDArray[np.intp]:
    """Return all pairs of frames (n, 2) that are as similar as `similarity`, or more; the first index is the lower.

    It takes as many comparisons as there are pairs. Memory grows with the number of pairs that are found.
    """
    starts = range(0, len(descriptors), _BLOCK)
    pairs = [np.zeros((0, 2), np.intp)]
    bar = tqdm(starts, "comparing frames", leave=False, disable=None, delay=1)
    for start in bar:
        ours = descriptors[start : start + _BLOCK]
        for other in range(start, len(descriptors), _BLOCK):
            rows, columns = np.nonzero(compare_frames(ours, descriptors[other : other + _BLOCK]) >= similarity)
            found = np.stack([rows + start, columns + other], 1)
            pairs.append(found[found[:, 0] < found[:, 1]])
    return np.concatenate(pairs)


def _blocks(sides: NDArray[np.generic]) -> list[tuple[int, NDArray[np.intp]]]:
    """Divide the frames of each side into blocks of at most `_BLOCK`: (number of the side, indices of frames)."""
    names, side_of_frame = np.unique(sides, return_inverse=True)
    blocks = []
    for side in range(len(names)):
        frames = np.flatnonzero(side_of_frame == side)
        blocks += [(side, frames[start : start + _BLOCK]) for start in range(0, len(frames), _BLOCK)]
    return blocks


def _update(
    index: NDArray[np.intp],
    best: NDArray[np.float32],
    ours: NDArray[np.intp],
    theirs: NDArray[np.intp],
    similarities: NDArray[np.float32],
) -> None:
    """Write into `index` and `best` those of their frames that are more similar to ours than what is there."""
    closest = similarities.argmax(1)
    value = similarities[np.arange(len(ours)), closest]
    is_better = value > best[ours]
    index[ours[is_better]] = theirs[closest[is_better]]
    best[ours[is_better]] = value[is_better]

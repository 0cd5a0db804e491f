"""Which frames show the same place: neighbours of one drive, standing cars, copies.

A frame's print is its contours at 40 x 30 pixels, whole and in nine windows of it. Two frames are as similar as the
whole of one is to any window of the other: a second later the car is further on, and what it sees is the middle of what
it saw, enlarged, or its left or right part where it turned.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.data.reading import read_small_grey

ALIKE = 0.42
"""Similarity from which on two frames count as the same place; folds/README.md says how it was chosen."""

_SIZE = (40, 30)  # pixels of a print: width, height
_CONTOUR = 2.0  # pixels of a print: what is larger than that, such as sky, night and haze, is taken out
_STRONG = 10.0  # grey levels: stronger contours, a skyline or a bonnet, count hardly more
_ZOOMS = (1.1, 1.22, 1.4)
_BLOCK = 512  # frames that are compared with as many others at a time

Prints = NDArray[np.float16]
"""(frames, windows, values), each window of length 1; the first is the whole frame."""


def prints(paths: Sequence[Path]) -> Prints:
    """Read images, JPEGs at a reduced size, and return their prints: 24 kB each. FoldsegError for a damaged file."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_print_of_file, paths)
        bar = tqdm(found, total=len(paths), desc="looking for frames that are alike", unit="image", disable=None)
        return np.stack(list(bar)) if paths else np.zeros((0, len(_windows(1, 1)), _SIZE[0] * _SIZE[1]), np.float16)


def _print_of_file(path: Path) -> Prints:
    return frame_print(read_small_grey(path, 3 * _SIZE[0])).astype(np.float16)


def frame_print(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) uint8 -> (windows, values), each window of length 1 (or 0, if it is of one colour)."""
    height, width = grey.shape
    return np.stack([_contours(grey[rows, columns]) for rows, columns in _windows(height, width)])


def _windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """The whole frame; of each zoom its left, middle and right part, at middle height."""
    found = [(slice(0, height), slice(0, width))]
    for zoom in _ZOOMS:
        high, wide = round(height / zoom), round(width / zoom)
        top = (height - high) // 2
        for left in (0, (width - wide) // 2, width - wide):
            found.append((slice(top, top + high), slice(left, left + wide)))
    return found


def _contours(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(grey, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    contours = np.tanh((small - cv2.GaussianBlur(small, (0, 0), _CONTOUR)) / _STRONG).ravel()
    contours -= contours.mean()
    return np.asarray(contours / max(float(np.linalg.norm(contours)), 1e-6), np.float32)


def similarity(ours: Prints, theirs: Prints) -> NDArray[np.float32]:
    """Similarities (our frames, their frames) of two sets of prints, in -1..1."""
    a, b = ours.astype(np.float32), theirs.astype(np.float32)
    best = a[:, 0] @ b[:, 0].T
    for window in range(1, a.shape[1]):
        np.maximum(best, a[:, window] @ b[:, 0].T, out=best)
        np.maximum(best, a[:, 0] @ b[:, window].T, out=best)
    return best


@dataclass(frozen=True)
class Nearest:
    """For each frame the most similar one of another side: its index (-1: there is none), its similarity."""

    index: NDArray[np.intp]
    similarity: NDArray[np.float32]


def nearest(found: Prints, sides: NDArray[np.generic]) -> Nearest:
    """Compare every frame with all frames of other sides; `sides`: (frames,) of any type.

    Takes as many comparisons as there are pairs across a border; memory does not grow with them.
    """
    index = np.full(len(found), -1, np.intp)
    best = np.full(len(found), -2, np.float32)
    names, of_frame = np.unique(sides, return_inverse=True)
    blocks = [
        (side, members[start : start + _BLOCK])
        for side in range(len(names))
        for members in [np.flatnonzero(of_frame == side)]
        for start in range(0, len(members), _BLOCK)
    ]
    for number, (side, ours) in enumerate(blocks):
        for other_side, theirs in blocks[number + 1 :]:
            if side != other_side:
                table = similarity(found[ours], found[theirs])
                _update(index, best, ours, theirs, table)
                _update(index, best, theirs, ours, table.T)
    return Nearest(index, best)


def _update(
    index: NDArray[np.intp],
    best: NDArray[np.float32],
    ours: NDArray[np.intp],
    theirs: NDArray[np.intp],
    table: NDArray[np.float32],
) -> None:
    closest = table.argmax(1)
    value = table[np.arange(len(ours)), closest]
    better = value > best[ours]
    index[ours[better]] = theirs[closest[better]]
    best[ours[better]] = value[better]

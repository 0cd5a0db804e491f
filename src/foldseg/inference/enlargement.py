"""Small logits -> probabilities: enlarges a network's logits as its head would have done.

A store may keep logits as they are before the head enlarges them, which takes less room. They are enlarged when they
are read. numpy only: the processes that blend read them, and they have no torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS = 32  # that are computed together: so many fit into a processor's cache


@dataclass(frozen=True)
class Enlargement:
    """How a head enlarges its logits: bilinearly to the size `padded`, of which the upper left `size` is the image."""

    padded: tuple[int, int]
    size: tuple[int, int]
    align_corners: bool
    overlapping: bool = False
    """Whether classes overlap, so that probabilities are the sigmoids of logits and not their softmax."""


@dataclass(frozen=True)
class Neighbours:
    """Between which two of the small pixels each large one lies, along one axis: one value per large pixel.

    `second_share`: how much the second one counts, 0 to 1.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    second_share: NDArray[np.float32]


def planes_of_logits(logits: NDArray[np.float16], enlargement: Enlargement) -> NDArray[np.uint8]:
    """Return round(255 p) of enlarged logits: (classes, h, w) -> (classes, *enlargement.size) uint8."""
    (padded_height, padded_width), (height, width) = enlargement.padded, enlargement.size
    columns = find_neighbours(logits.shape[2], padded_width, width, enlargement.align_corners)
    rows = find_neighbours(logits.shape[1], padded_height, height, enlargement.align_corners)
    small = logits.astype(np.float32)
    left, right = small[..., columns.first], small[..., columns.second]
    wide = left + (right - left) * columns.second_share
    planes = np.empty((len(logits), height, width), np.uint8)
    for start in range(0, height, _ROWS):
        block = np.s_[start : start + _ROWS]
        upper = wide[:, rows.first[block]]
        enlarged = wide[:, rows.second[block]]
        enlarged -= upper
        enlarged *= rows.second_share[block, None]
        enlarged += upper
        planes[:, block] = _quantise_sigmoid(enlarged) if enlargement.overlapping else _quantise_softmax(enlarged)
    return planes


def _quantise_sigmoid(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return round(255 p) uint8 of the sigmoids of logits (classes, ...), which are overwritten."""
    np.tanh(logits / 2, out=logits)  # this does not overflow, as exp may
    logits *= 127.5
    logits += 128.0
    return logits.astype(np.uint8)


def _quantise_softmax(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return round(255 p) uint8 of the softmax of logits (classes, ...), which are overwritten."""
    logits -= logits.max(0)
    np.exp(logits, out=logits)
    logits *= 255 / logits.sum(0)
    logits += 0.5
    return logits.astype(np.uint8)


def find_neighbours(small: int, large: int, count: int, align_corners: bool) -> Neighbours:
    """Return the neighbours of the first `count` of `large` pixels among `small` ones. Float32, as torch computes."""
    place = np.arange(count, dtype=np.float32)
    if align_corners:
        place *= np.float32((small - 1) / (large - 1) if large > 1 else 0.0)
    else:
        place = np.maximum((place + np.float32(0.5)) * np.float32(small / large) - np.float32(0.5), 0)
    first = np.minimum(place.astype(np.intp), small - 1)
    return Neighbours(first, np.minimum(first + 1, small - 1), (place - first).astype(np.float32))

"""Logits as a network's head computes them, before it enlarges them: kept small, read as the probabilities they mean.

numpy only: the processes that blend read them, and those have no torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS = 32  # that are worked on at a time: what fits a processor's cache

Axis = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]


@dataclass(frozen=True)
class Enlargement:
    """How a head enlarges its logits: bilinearly to `padded`, of which the upper left `size` is the image."""

    padded: tuple[int, int]
    size: tuple[int, int]
    align_corners: bool


def planes_of_logits(logits: NDArray[np.float16], how: Enlargement) -> NDArray[np.uint8]:
    """Logits (classes, h, w) -> round(255 p) of their softmax after enlargement, (classes, *how.size) uint8."""
    left, right, share = _neighbours(logits.shape[2], how.padded[1], how.size[1], how.align_corners)
    small = logits.astype(np.float32)
    wide = small[..., left] + (small[..., right] - small[..., left]) * share
    above, below, shares = _neighbours(logits.shape[1], how.padded[0], how.size[0], how.align_corners)
    planes = np.empty((len(logits), *how.size), np.uint8)
    for start in range(0, how.size[0], _ROWS):
        rows = np.s_[start : start + _ROWS]
        part = wide[:, below[rows]]
        upper = wide[:, above[rows]]
        part -= upper
        part *= shares[rows, None]
        part += upper
        planes[:, rows] = _quantised_softmax(part)
    return planes


def _quantised_softmax(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Logits (classes, ...), which are overwritten -> round(255 p) uint8."""
    logits -= logits.max(0)
    np.exp(logits, out=logits)
    logits *= 255 / logits.sum(0)
    logits += 0.5
    return logits.astype(np.uint8)


def _neighbours(small: int, large: int, wanted: int, align_corners: bool) -> Axis:
    """For the first `wanted` of `large` pixels: the two of `small` that each lies between, and the second's share.

    Computed in float32, as torch does.
    """
    place = np.arange(wanted, dtype=np.float32)
    if align_corners:
        place *= np.float32((small - 1) / (large - 1) if large > 1 else 0.0)
    else:
        place = np.maximum((place + np.float32(0.5)) * np.float32(small / large) - np.float32(0.5), 0)
    first = np.minimum(place.astype(np.intp), small - 1)
    return first, np.minimum(first + 1, small - 1), (place - first).astype(np.float32)

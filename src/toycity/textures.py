"""Noise images that the other painters lay over their flat colours."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


def grain(seed: Sequence[int], size: int) -> NDArray[np.float32]:
    """Return fine noise that repeats without a seam, mean 0 and about -2 to 2: (size, size)."""
    noise = np.random.default_rng(list(seed)).standard_normal((size, size), dtype=np.float32)
    return 0.6 * noise + 0.4 * (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1))


def blotches(seed: Sequence[int], size: int, cells: int) -> NDArray[np.float32]:
    """Return smooth noise, `cells` blotches across, that repeats without a seam: (size, size)."""
    coarse = np.random.default_rng(list(seed)).standard_normal((cells, cells), dtype=np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    step = size // cells
    large = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    tile: NDArray[np.float32] = np.ascontiguousarray(large[2 * step : 2 * step + size, 2 * step : 2 * step + size])
    return tile


def cloud_cover(seed: Sequence[int], width: int, height: int) -> NDArray[np.float32]:
    """Return layered noise, rough at all sizes, about -2 to 2: (height, width)."""
    rng = np.random.default_rng(list(seed))
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(5):
        rows, columns = 3 * 2**octave, 4 * 2**octave
        layer = rng.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.62**octave)
    return total

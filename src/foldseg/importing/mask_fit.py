"""Whether a mask belongs to its image: borders between classes should lie on edges of the picture.

The picture's gradient along the borders is compared with the gradient along the same borders, moved a little. In its
own picture a mask is best where it is, so the fit is above 0. Of the 367 training masks of CamVid, 0.8% have a fit
below 0; of pairs of an image and another image's mask, 99% have.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import Mask

WIDTH = 384
"""Images are compared at about this width, in pixels."""
CLEAR_FIT = 0.05
"""A mirrored mask, or another image's, is named as a better one if its fit is above this."""

_SMALLEST = 48
"""Sides of pictures that are compared, in pixels, at least."""
_FEWEST, _MOST = 40, 4000
"""Border pixels that are needed, and that are used."""
_DISTANCES, _DIRECTIONS = (8, 16), 12
"""How far borders are moved, in pixels, and into how many directions."""


@dataclass(frozen=True, eq=False)
class PictureEdges:
    """Where a picture has edges: the logarithm of its gradient, (h, w) float32, at a small scale."""

    strength: NDArray[np.float32]

    @staticmethod
    def of(grey: NDArray[np.uint8]) -> "PictureEdges":
        """Return the edges of a grey picture (H, W) uint8."""
        width = min(WIDTH, grey.shape[1])
        height = max(1, round(grey.shape[0] * width / grey.shape[1]))
        small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        smooth = cv2.GaussianBlur(small, (0, 0), 1.0)
        gradient = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        strength = cv2.dilate(np.log1p(gradient), np.ones((3, 3), np.uint8))
        return PictureEdges(np.asarray(strength, np.float32))

    def fit(self, mask: Mask) -> float | None:
        """Return how well a mask fits: above 0 if its borders are on stronger edges than where they are moved to.

        In standard deviations of the picture's edges. None if picture or borders are too small to tell.
        """
        spread = float(self.strength.std())
        if min(self.strength.shape) < _SMALLEST or spread == 0:
            return None
        rows, columns = _find_borders(mask, self.strength.shape)
        if len(rows) < _FEWEST:
            return None
        moved = [self._mean_along(rows + down, columns + right) for down, right in _moves()]
        return (self._mean_along(rows, columns) - max(moved)) / spread

    def _mean_along(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> float:
        height, width = self.strength.shape
        is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return float(self.strength[rows[is_inside], columns[is_inside]].mean()) if is_inside.any() else 0.0


def _moves() -> Iterator[tuple[int, int]]:
    for distance in _DISTANCES:
        for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
            yield round(distance * np.sin(angle)), round(distance * np.cos(angle))


def mirror(mask: Mask) -> dict[str, Mask]:
    """Return a mask as it would be if it had been mirrored or turned by mistake, by the words for that."""
    return {
        "mirrored left to right": np.ascontiguousarray(mask[:, ::-1]),
        "mirrored top to bottom": np.ascontiguousarray(mask[::-1]),
        "turned by 180 degrees": np.ascontiguousarray(mask[::-1, ::-1]),
    }


def _find_borders(mask: Mask, size: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of pixels at borders of a mask that is made as small as the picture."""
    small = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    is_border = np.zeros(size, bool)
    is_border[:, 1:] |= small[:, 1:] != small[:, :-1]
    is_border[1:] |= small[1:] != small[:-1]
    rows, columns = np.nonzero(is_border)
    step = -(-len(rows) // _MOST) or 1
    return rows[::step], columns[::step]

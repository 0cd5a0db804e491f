"""CutMix and copy-paste: samples that are made of several training images.

Images are (H, W, 3) uint8, masks (H, W) uint8 with 255 for void. Nothing is written into what is passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import CopyPaste, CutMix
from foldseg.data.frames import Frames
from foldseg.data.labels import Image, Mask
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.views.balance import class_indices
from foldseg.views.geometry import resize_image, resize_mask, scaled

Pair = tuple[Image, Mask]
Flags = NDArray[np.bool_]

_TRIALS = 32  # places that are tried for a region
_SUPPORT = 0.75  # least share of a region's visible lower edge that must stand on what it may stand on


@dataclass(frozen=True)
class Region:
    """A connected region of one class, in its bounding box: `image` (h, w, 3) uint8, `inside` (h, w) bool."""

    image: Image
    inside: Flags
    index: int

    def resized(self, factor: float) -> "Region":
        """Scale it; at least one pixel stays."""
        size = scaled(self.inside.shape, factor)
        inside = resize_mask(self.inside.astype(np.uint8), size).astype(bool)
        return Region(resize_image(self.image, size), inside if inside.any() else np.ones_like(inside), self.index)


@dataclass(frozen=True)
class Donors:
    """Where regions of one class are found, and on which classes they may stand."""

    index: int
    frames: NDArray[np.intp]
    ground: tuple[int, ...]


class Mixing:
    """What is done to a sample after it was cut and before it is augmented."""

    def __init__(
        self,
        cut_mix: CutMix | None,
        copy_paste: CopyPaste | None,
        frames: Frames,
        names: Sequence[str],
        pixels: NDArray[np.int64],
    ) -> None:
        """Find the donors among the first frames, whose `pixels` (frames, classes + 1) are given.

        FoldsegError for unknown classes and for classes of which no frame has enough pixels.
        """
        self._cut_mix, self._copy_paste, self._frames = cut_mix, copy_paste, frames
        self._donors = _donors(copy_paste, names, pixels) if copy_paste is not None else []

    def __call__(
        self,
        image: Image,
        mask: Mask,
        cut: Callable[[int, np.random.Generator], Pair],
        zoom: tuple[float, float],
        rng: np.random.Generator,
    ) -> Pair:
        """Mix a sample with others; `cut` makes one of a frame, `zoom` is the range of factors by which it scales."""
        paste, mix = self._copy_paste, self._cut_mix
        if paste is not None and rng.random() < paste.probability:
            donors = self._donors[rng.integers(len(self._donors))]
            region = self._region(donors, paste.min_pixels, rng)
            if region is not None:
                factor = rng.uniform(*zoom) * rng.uniform(*paste.scale)
                image, mask = paste_region(image, mask, region.resized(factor), donors.ground, rng)
        if mix is not None and rng.random() < mix.probability:
            image, mask = cut_mixed((image, mask), cut(int(rng.integers(len(self._frames.ids))), rng), mix.alpha, rng)
        return image, mask

    def _region(self, donors: Donors, min_pixels: int, rng: np.random.Generator) -> Region | None:
        image, mask = self._frames.read(int(donors.frames[rng.integers(len(donors.frames))]))
        assert mask is not None
        return random_region(image, mask, donors.index, min_pixels, rng)


def _donors(copy_paste: CopyPaste, names: Sequence[str], pixels: NDArray[np.int64]) -> list[Donors]:
    key = "copy_paste.classes"
    found = []
    for index, (name, ground) in zip(
        class_indices(tuple(copy_paste.classes), names, key), copy_paste.classes.items(), strict=True
    ):
        frames = np.flatnonzero(pixels[:, index] >= copy_paste.min_pixels)
        if not len(frames):
            raise FoldsegError(f"{key}: no training image has {copy_paste.min_pixels} pixels of {shorten([name])}")
        found.append(Donors(index, frames, class_indices(ground, names, f"{key}.{name}")))
    return found


def cut_mixed(sample: Pair, other: Pair, alpha: float, rng: np.random.Generator) -> Pair:
    """Replace a rectangle by the same place of another sample; the kept share of the area is Beta(alpha, alpha).

    As in Yun et al., 2019 (1905.04899): the centre is anywhere, and the rectangle is cut off at the border. Of samples
    of different sizes it lies in what both have.
    """
    image, mask = (part.copy() for part in sample)
    height, width = (min(sizes) for sizes in zip(mask.shape, other[1].shape, strict=True))
    side = (1 - rng.beta(alpha, alpha)) ** 0.5
    y, x, down, right = rng.integers(height), rng.integers(width), round(height * side), round(width * side)
    top, left = max(0, y - down // 2), max(0, x - right // 2)
    area = np.s_[top : min(height, y - down // 2 + down), left : min(width, x - right // 2 + right)]
    image[area], mask[area] = other[0][area], other[1][area]
    return image, mask


def random_region(image: Image, mask: Mask, index: int, min_pixels: int, rng: np.random.Generator) -> Region | None:
    """Return one of the connected regions of class `index` that have `min_pixels`; None if there is none."""
    where = (mask == index).view(np.uint8)
    left, top, width, height = cv2.boundingRect(where)
    if not width:
        return None  # OpenCV crashes on an empty picture
    box = np.s_[top : top + height, left : left + width]
    _, components, facts, _ = cv2.connectedComponentsWithStats(where[box], connectivity=8)
    large = np.flatnonzero(facts[1:, cv2.CC_STAT_AREA] >= min_pixels) + 1
    if not len(large):
        return None
    chosen = int(large[rng.integers(len(large))])
    x, y, width, height = (int(value) for value in facts[chosen, : cv2.CC_STAT_AREA])
    inner = np.s_[y : y + height, x : x + width]
    return Region(image[box][inner], components[inner] == chosen, index)


def paste_region(image: Image, mask: Mask, region: Region, ground: Sequence[int], rng: np.random.Generator) -> Pair:
    """Paste a region where its lower edge stands on a class of `ground`; if no such place is found, change nothing."""
    place = standing_place(_flags(mask, ground), region.inside, rng)
    if place is None:
        return image, mask
    image, mask = image.copy(), mask.copy()
    (target, source) = _overlap(mask.shape, region.inside.shape, place)
    inside = region.inside[source]
    image[target][inside] = region.image[source][inside]
    mask[target][inside] = region.index
    return image, mask


def standing_place(ground: Flags, inside: Flags, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a place (row, column of its first pixel) where a region stands on `ground` (H, W); None if none is found.

    The lower edge is the lowest pixel of each column. The middle column is within the picture, a part of the others may
    be outside.
    """
    spots = np.flatnonzero(ground)
    if not len(spots):
        return None
    height, width = ground.shape
    columns = np.flatnonzero(inside.any(0))
    lowest = inside.shape[0] - 1 - inside[::-1, columns].argmax(0)
    tried = spots[rng.integers(len(spots), size=_TRIALS)]
    tops, lefts = tried // width - int(lowest.max()), tried % width - inside.shape[1] // 2
    rows, places = tops[:, None] + lowest, lefts[:, None] + columns  # (trials, columns)
    visible = (rows >= 0) & (rows < height) & (places >= 0) & (places < width)
    stands = ground[rows.clip(0, height - 1), places.clip(0, width - 1)] & visible
    first = np.flatnonzero(stands.sum(1) >= np.maximum(1, _SUPPORT * visible.sum(1)))
    return (int(tops[first[0]]), int(lefts[first[0]])) if len(first) else None


def random_pixel(mask: Mask, classes: Sequence[int], rng: np.random.Generator) -> tuple[int, int] | None:
    """Return (row, column) of a random pixel of one of `classes`; None if there is none."""
    places = np.flatnonzero(_flags(mask, classes))
    if not len(places):
        return None
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def _flags(mask: Mask, classes: Sequence[int]) -> Flags:
    """(H, W) class indices -> (H, W) bool: which pixels are of one of `classes`."""
    table = np.zeros(256, np.uint8)
    table[list(classes)] = 1
    return np.asarray(cv2.LUT(mask, table), np.uint8).view(np.bool_)


def _overlap(
    size: tuple[int, ...], patch: tuple[int, ...], place: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a patch lies in a picture, and which part of the patch that is."""
    ranges: list[Any] = [
        (max(0, start), min(whole, start + length)) for whole, length, start in zip(size, patch, place, strict=True)
    ]
    target = tuple(slice(first, last) for first, last in ranges)
    source = tuple(slice(first - start, last - start) for (first, last), start in zip(ranges, place, strict=True))
    return target, source

"""CutMix and copy-paste: samples that combine several training images.

Images are (H, W, C) uint8, masks (H, W) uint8 with 255 for void. Functions leave their arguments unchanged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import CopyPaste, CutMix, TrainView
from foldseg.data.frames import Frames
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.views.balance import class_indices
from foldseg.views.geometry import resize_image, resize_mask

Pair = tuple[Image, Mask]
Flags = NDArray[np.bool_]

_TRIALS = 32  # places that are tried for a region
_SUPPORT = 0.75  # at least this share of a region's visible lower edge must stand on a class that may lie below it


@dataclass(frozen=True)
class Region:
    """A connected region of one class, in its bounding box.

    `image` (h, w, C) uint8; `inside` (h, w) bool. `bits` (h, w) uint8: class bits, None if classes are exclusive.
    """

    image: Image
    inside: Flags
    index: int
    bits: Mask | None = None

    def resized(self, down: float, across: float) -> "Region":
        """Return the region with its height scaled by `down`, its width by `across`. At least one pixel remains."""
        height, width = self.inside.shape
        size = max(1, round(height * down)), max(1, round(width * across))
        inside = resize_mask(self.inside.astype(np.uint8), size).astype(bool)
        inside = inside if inside.any() else np.ones_like(inside)
        bits = None if self.bits is None else resize_mask(self.bits, size)
        return Region(resize_image(self.image, size), inside, self.index, bits)


@dataclass(frozen=True)
class Donors:
    """Which frames show a class, and on which classes its regions may stand (`ground`)."""

    index: int
    frames: NDArray[np.intp]
    ground: tuple[int, ...]


class Mixing:
    """Mixes a sample with others, after it was cut and before it is augmented."""

    def __init__(
        self,
        cut_mix: CutMix | None,
        copy_paste: CopyPaste | None,
        frames: Frames,
        names: Sequence[str],
        pixels: NDArray[np.int64],
        labels: LabelSet | None = None,
    ) -> None:
        """Find the frames that regions can be copied from.

        `pixels` (frames, classes + 1): counts in the masks of the first frames, which are the data set's own.
        `labels`: None for exclusive classes. FoldsegError for unknown classes and for classes of which no frame has
        enough pixels.
        """
        self._cut_mix, self._copy_paste, self._frames, self._labels = cut_mix, copy_paste, frames, labels
        self._donors = _find_donors(copy_paste, names, pixels) if copy_paste is not None else []

    def __call__(
        self,
        image: Image,
        mask: Mask,
        cut: Callable[[int, np.random.Generator], Pair],
        view: TrainView,
        rng: np.random.Generator,
    ) -> Pair:
        """Return a sample that is mixed with others.

        `cut` returns the sample of a frame in `view`. Pasted regions are scaled as `view` scales their images.
        """
        paste, mix = self._copy_paste, self._cut_mix
        if paste is not None and rng.random() < paste.probability:
            donors = self._donors[rng.integers(len(self._donors))]
            donor_image, donor_mask = self._frames.read(int(donors.frames[rng.integers(len(donors.frames))]))
            assert donor_mask is not None
            region = draw_region(donor_image, donor_mask, donors.index, paste.min_pixels, rng, self._labels)
            if region is not None:
                factor = rng.uniform(*view.scale_range) * rng.uniform(*paste.scale)
                (height, width), resized = donor_mask.shape, view.resized_size(donor_mask.shape)
                region = region.resized(factor * resized[0] / height, factor * resized[1] / width)
                image, mask = paste_region(image, mask, region, donors.ground, rng, self._labels)
        if mix is not None and rng.random() < mix.probability:
            other = cut(int(rng.integers(len(self._frames.ids))), rng)
            image, mask = apply_cut_mix((image, mask), other, mix.alpha, rng)
        return image, mask


def _find_donors(copy_paste: CopyPaste, names: Sequence[str], pixels: NDArray[np.int64]) -> list[Donors]:
    key = "copy_paste.classes"
    indices = class_indices(tuple(copy_paste.classes), names, key)
    donors = []
    for index, (name, ground) in zip(indices, copy_paste.classes.items(), strict=True):
        frames = np.flatnonzero(pixels[:, index] >= copy_paste.min_pixels)
        if not len(frames):
            raise FoldsegError(f"{key}: no training image has {copy_paste.min_pixels} pixels of {shorten([name])}")
        donors.append(Donors(index, frames, class_indices(ground, names, f"{key}.{name}")))
    return donors


def apply_cut_mix(sample: Pair, other: Pair, alpha: float, rng: np.random.Generator) -> Pair:
    """Replace a rectangle by the same place of another sample. The share of the area that stays is Beta(alpha, alpha).

    As in Yun et al., 2019 (1905.04899): the centre is anywhere, and the rectangle is cut off at the border. If the
    samples differ in size, it lies within both.
    """
    image, mask = (part.copy() for part in sample)
    height, width = (min(sizes) for sizes in zip(mask.shape, other[1].shape, strict=True))
    side = (1 - rng.beta(alpha, alpha)) ** 0.5
    y, x, down, right = rng.integers(height), rng.integers(width), round(height * side), round(width * side)
    top, left = max(0, y - down // 2), max(0, x - right // 2)
    area = np.s_[top : min(height, y - down // 2 + down), left : min(width, x - right // 2 + right)]
    image[area], mask[area] = other[0][area], other[1][area]
    return image, mask


def draw_region(
    image: Image,
    mask: Mask,
    index: int,
    min_pixels: int,
    rng: np.random.Generator,
    labels: LabelSet | None = None,
) -> Region | None:
    """Return one of the connected regions of class `index` that have `min_pixels`; None if there is none.

    `labels`: None for exclusive classes.
    """
    is_class = find_pixels(mask, (index,), labels).view(np.uint8)
    left, top, width, height = cv2.boundingRect(is_class)
    if not width:
        return None  # OpenCV crashes on an empty picture
    box = np.s_[top : top + height, left : left + width]
    _, components, statistics, _ = cv2.connectedComponentsWithStats(is_class[box], connectivity=8)
    large = np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] >= min_pixels) + 1  # component 0 is the background
    if not len(large):
        return None
    chosen = int(large[rng.integers(len(large))])
    x, y, width, height = (int(value) for value in statistics[chosen, : cv2.CC_STAT_AREA])
    inner = np.s_[y : y + height, x : x + width]
    bits = mask[box][inner] if labels is not None and labels.overlapping else None
    return Region(image[box][inner], components[inner] == chosen, index, bits)


def paste_region(
    image: Image,
    mask: Mask,
    region: Region,
    ground: Sequence[int],
    rng: np.random.Generator,
    labels: LabelSet | None = None,
) -> Pair:
    """Paste a region where its lower edge stands on a class of `ground`, or anywhere if `ground` is empty.

    Without such a place nothing changes. Of overlapping classes, the region brings all that are at its pixels.
    `labels`: None for exclusive classes.
    """
    may_stand = find_pixels(mask, ground, labels) if ground else np.ones(mask.shape, bool)
    place = find_standing_place(may_stand, region.inside, rng)
    if place is None:
        return image, mask
    image, mask = image.copy(), mask.copy()
    (target, source) = _overlap(mask.shape, region.inside.shape, place)
    inside = region.inside[source]
    image[target][inside] = region.image[source][inside]
    mask[target][inside] = region.index if region.bits is None else region.bits[source][inside]
    return image, mask


def find_standing_place(ground: Flags, inside: Flags, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a place (row and column of its upper left pixel) where a region stands on `ground` (H, W), or None.

    The lower edge is the lowest pixel of each column. The middle column is within the picture; other columns may be
    outside.
    """
    ground_pixels = np.flatnonzero(ground)
    if not len(ground_pixels):
        return None
    height, width = ground.shape
    columns = np.flatnonzero(inside.any(0))
    lowest_rows = inside.shape[0] - 1 - inside[::-1, columns].argmax(0)
    # In each trial the lowest row and the middle column of the region lie on a random pixel of the ground
    trials = ground_pixels[rng.integers(len(ground_pixels), size=_TRIALS)]
    tops, lefts = trials // width - int(lowest_rows.max()), trials % width - inside.shape[1] // 2
    edge_rows, edge_columns = tops[:, None] + lowest_rows, lefts[:, None] + columns  # (trials, columns)
    is_visible = (edge_rows >= 0) & (edge_rows < height) & (edge_columns >= 0) & (edge_columns < width)
    stands = ground[edge_rows.clip(0, height - 1), edge_columns.clip(0, width - 1)] & is_visible
    good = np.flatnonzero(stands.sum(1) >= np.maximum(1, _SUPPORT * is_visible.sum(1)))
    return (int(tops[good[0]]), int(lefts[good[0]])) if len(good) else None


def draw_pixel(
    mask: Mask, classes: Sequence[int], rng: np.random.Generator, labels: LabelSet | None = None
) -> tuple[int, int] | None:
    """Return (row, column) of a random pixel of one of `classes`, or None if there is none.

    `labels`: None for exclusive classes.
    """
    places = np.flatnonzero(find_pixels(mask, classes, labels))
    if not len(places):
        return None
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def find_pixels(mask: Mask, classes: Sequence[int], labels: LabelSet | None = None) -> Flags:
    """Return whether each pixel is of one of `classes`: (H, W) bool. `labels`: None for exclusive classes."""
    table = np.zeros(256, np.uint8)
    if labels is None:
        table[list(classes)] = 1
    else:
        table[labels.values_of_classes[list(classes)].any(0)] = 1
    return np.asarray(cv2.LUT(mask, table), np.uint8).view(np.bool_)


def _overlap(
    size: tuple[int, ...], patch: tuple[int, ...], place: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the part of a picture that a patch covers, and the part of the patch that is within the picture."""
    target, source = [], []
    for picture_length, patch_length, start in zip(size, patch, place, strict=True):
        first, last = max(0, start), min(picture_length, start + patch_length)
        target.append(slice(first, last))
        source.append(slice(first - start, last - start))
    return tuple(target), tuple(source)

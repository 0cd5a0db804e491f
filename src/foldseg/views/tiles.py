"""Sliding windows: where they lie, what a pixel counts for by its place in one, and how they are put together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
import torch
from torch import Tensor

from foldseg.config.schema import TilesView
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import TileMergeName, TileWeightName

Network = Callable[[Tensor], Tensor]
"""Batch of images (N, 3, H, W) uint8 -> logits (N, classes, H, W)."""

_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}  # of the windows that are predicted together, at most (but at least one)
_SIGMA = 1 / 8  # of the gaussian, as a share of a window's side
_LEAST = 1e-3  # weight, so that a pixel which only corners of windows cover keeps all its digits


@dataclass(frozen=True)
class Tiling:
    """How images of one size are divided: corners (top, left) of windows, their weights, and the sum of these."""

    corners: tuple[tuple[int, int], ...]
    weights: Tensor  # (window's height, width)
    norm: Tensor  # (H, W)


def tiled(network: Network, images: Tensor, view: TilesView) -> Tensor:
    """Images (N, 3, H, W) uint8 of a size that `tiled_size` gives -> probabilities (N, classes, H, W) float32.

    Windows of all images are predicted together, so many at a time as make a good batch.
    """
    tiling = _tiling((images.shape[-2], images.shape[-1]), view, images.device)
    merge = MERGES[view.merge]
    total: Tensor | None = None
    for places, windows in _batches(images, view.size, tiling.corners):
        maps = class_probabilities(network(windows))
        maps = merge.term(maps).mul_(tiling.weights)
        if total is None:
            total = maps.new_zeros(len(images), maps.shape[1], *images.shape[-2:])
        for (number, (top, left)), own in zip(places, maps, strict=True):
            total[number, :, top : top + view.size[0], left : left + view.size[1]] += own
    assert total is not None  # a tiling has a window
    return total.div_(tiling.norm)


def _batches(
    images: Tensor, size: tuple[int, int], corners: tuple[tuple[int, int], ...]
) -> Iterator[tuple[list[tuple[int, tuple[int, int]]], Tensor]]:
    """(number of the image, corner) of the windows of each batch, and the windows (n, 3, height, width)."""
    height, width = size
    places = list(product(range(len(images)), corners))
    pixels = images.permute(0, 2, 3, 1)  # as they lie in memory: rows of a window are copied whole
    length = max(1, _PIXELS.get(images.device.type, _PIXELS["cpu"]) // (height * width))
    for start in range(0, len(places), length):
        batch = places[start : start + length]
        windows = [pixels[n, top : top + height, left : left + width] for n, (top, left) in batch]
        yield batch, torch.stack(windows).permute(0, 3, 1, 2)


def class_probabilities(logits: Tensor) -> Tensor:
    """Logits (N, C, H, W) of any float type and layout -> their softmax, float32, plane by plane in memory."""
    logits = logits.detach().float()
    if logits.device.type == "cpu" and logits.is_contiguous(memory_format=torch.channels_last):
        # torch copies channels that lie together into planes up to ten times as slowly as OpenCV
        pixels, planes = logits.permute(0, 2, 3, 1).flatten(1, 2).numpy(), logits.new_empty(logits.shape)
        for image, out in zip(pixels, planes.flatten(2).numpy(), strict=True):
            cv2.transpose(image, out)
        logits = planes
    return logits.softmax(1)


def votes(maps: Tensor) -> Tensor:
    """Probabilities (..., C, H, W) -> the same shape: 1 for the most probable class of each pixel, 0 for the others."""
    return torch.zeros_like(maps).scatter_(-3, maps.argmax(-3, keepdim=True), 1.0)


def tiled_size(size: tuple[int, int], view: TilesView) -> tuple[int, int]:
    """Return to which size an image of `size` is padded for its windows: as large as one, or as the last ones need."""
    if view.border == "shift":
        return max(size[0], view.size[0]), max(size[1], view.size[1])
    height, width = (
        tile + stride * (_count(length, tile, stride) - 1)
        for length, tile, stride in zip(size, view.size, _strides(view), strict=True)
    )
    return height, width


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of windows that cover `length` with at least `overlap` (a share of `tile`), evenly spread.

    `length` must be at least `tile`.
    """
    count = _count(length, tile, _stride(tile, overlap))
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def stepped_starts(length: int, tile: int, stride: int) -> list[int]:
    """First pixels of windows, one every `stride`, that cover `length`; the last one is shifted back into it.

    `length` must be at least `tile`.
    """
    return [min(step * stride, length - tile) for step in range(_count(length, tile, stride))]


def _stride(tile: int, overlap: float) -> int:
    return max(1, int(tile * (1 - overlap)))


def _strides(view: TilesView) -> tuple[int, int]:
    if view.stride is not None:
        return view.stride
    assert view.overlap is not None  # the configuration sees to it
    return _stride(view.size[0], view.overlap), _stride(view.size[1], view.overlap)


def _count(length: int, tile: int, stride: int) -> int:
    return 1 + max(0, -(-(length - tile) // stride))


@lru_cache(maxsize=8)
def _tiling(size: tuple[int, int], view: TilesView, device: torch.device) -> Tiling:
    if view.overlap is not None and view.border == "shift":
        tops, lefts = (tile_starts(length, tile, view.overlap) for length, tile in zip(size, view.size, strict=True))
    else:
        axes = zip(size, view.size, _strides(view), strict=True)
        tops, lefts = (stepped_starts(length, tile, stride) for length, tile, stride in axes)
    corners = tuple(product(tops, lefts))
    weights = WEIGHTS[view.weights or MERGES[view.merge].usual_weights](*view.size)
    norm = torch.zeros(size)
    for top, left in corners:
        norm[top : top + view.size[0], left : left + view.size[1]] += weights
    return Tiling(corners, weights.to(device), norm.to(device))


def _constant(height: int, width: int) -> Tensor:
    return torch.ones(height, width)


def _pyramid(height: int, width: int) -> Tensor:
    """(height, width) weights that fall evenly from 1 in the middle towards the border, never to 0."""

    def ramp(length: int) -> Tensor:
        position = torch.arange(length) + 0.5
        return torch.minimum(position, length - position) / (length / 2)

    return torch.minimum(ramp(height)[:, None], ramp(width)[None, :])


def _gaussian(height: int, width: int) -> Tensor:
    """(height, width) weights: a bell whose standard deviation is an eighth of a side (as MONAI's), at least 0.001."""

    def bell(length: int) -> Tensor:
        position = torch.arange(length) - (length - 1) / 2
        return torch.exp(-0.5 * (position / (_SIGMA * length)) ** 2)

    return (bell(height)[:, None] * bell(width)[None, :]).clamp_min(_LEAST)


WEIGHTS: dict[str, Callable[[int, int], Tensor]] = {"constant": _constant, "gaussian": _gaussian, "pyramid": _pyramid}
"""Name -> weights of the pixels of a window of (height, width), all above 0."""
check_entries(WEIGHTS, TileWeightName, "views/tiles.py: WEIGHTS")


@dataclass(frozen=True)
class TileMerge:
    """How the tiles' probabilities become those of the image: the weighted mean of `term(probabilities)`.

    `term`: (N, classes, H, W) -> the same shape, from 0 to 1, with a sum of 1 at every pixel.
    `usual_weights`: name of the weights of a tile's pixels where the settings name none.
    """

    term: Callable[[Tensor], Tensor]
    usual_weights: TileWeightName


def _unchanged(maps: Tensor) -> Tensor:
    return maps


MERGES: dict[TileMergeName, TileMerge] = {
    "mean": TileMerge(_unchanged, "pyramid"),
    "vote": TileMerge(votes, "constant"),
}
"""Name -> how tiles are merged. `deploy/numpy_views.py: MERGES` has the same for exported networks."""
check_entries(MERGES, TileMergeName, "views/tiles.py: MERGES")

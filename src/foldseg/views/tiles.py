"""Tiles: where they lie, how much a pixel counts by its place in a tile, and how their predictions are merged."""

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
from foldseg.views.activation import SOFTMAX, Activation

Network = Callable[[Tensor], Tensor]
"""Batch of images (N, C, H, W) uint8 -> logits (N, classes, H, W)."""

_BATCH_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}
"""The most pixels of tiles that are predicted together. A larger tile is predicted alone."""
_SIGMA = 1 / 8  # standard deviation of the gaussian, as a share of a tile's side
_SMALLEST_WEIGHT = 1e-3  # the gaussian is at least this, so pixels in corners of tiles keep all their digits


@dataclass(frozen=True)
class Tiling:
    """How images (H, W) of one size are divided.

    `corners`: row and column of each tile's upper left pixel. `weights`: of the pixels of a tile, (tile height, tile
    width). `weight_sum`: sum of the tiles' weights at each pixel of the image, (H, W).
    """

    corners: tuple[tuple[int, int], ...]
    weights: Tensor
    weight_sum: Tensor


def predict_tiles(network: Network, images: Tensor, view: TilesView, activation: Activation = SOFTMAX) -> Tensor:
    """Predict images tile by tile: (N, C, H, W) uint8 -> probabilities (N, classes, H, W) float32.

    The images have a size that `tiled_size` returns. Tiles of all images are predicted together, in batches whose size
    suits the device.
    """
    tiling = _tiling_of((images.shape[-2], images.shape[-1]), view, images.device)
    merge = MERGES[view.merge]
    height, width = view.size
    total: Tensor | None = None
    for places, tiles in _batches(images, view.size, tiling.corners):
        alternatives = activation.to_alternatives(class_probabilities(network(tiles), activation))
        maps = activation.from_alternatives(merge.term(alternatives)).mul_(tiling.weights)
        if total is None:
            total = maps.new_zeros(len(images), maps.shape[1], *images.shape[-2:])
        for (number, (top, left)), tile_maps in zip(places, maps, strict=True):
            total[number, :, top : top + height, left : left + width] += tile_maps
    assert total is not None  # there is at least one tile
    return total.div_(tiling.weight_sum)


def _batches(
    images: Tensor, size: tuple[int, int], corners: tuple[tuple[int, int], ...]
) -> Iterator[tuple[list[tuple[int, tuple[int, int]]], Tensor]]:
    """Yield batches of tiles: where they are, (number of the image, corner), and their pixels (n, C, height, width)."""
    height, width = size
    places = list(product(range(len(images)), corners))
    pixels = images.permute(0, 2, 3, 1)  # channels last, as they are in memory: whole rows of a tile are copied
    batch_size = max(1, _BATCH_PIXELS.get(images.device.type, _BATCH_PIXELS["cpu"]) // (height * width))
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        tiles = [pixels[number, top : top + height, left : left + width] for number, (top, left) in batch]
        yield batch, torch.stack(tiles).permute(0, 3, 1, 2)


def class_probabilities(logits: Tensor, activation: Activation = SOFTMAX) -> Tensor:
    """Return the probabilities of logits (N, C, H, W) of any float type and memory layout: float32, contiguous."""
    logits = logits.detach().float()
    if logits.device.type == "cpu" and logits.is_contiguous(memory_format=torch.channels_last):
        # OpenCV turns channels-last memory into planes up to ten times as fast as torch
        pixels, planes = logits.permute(0, 2, 3, 1).flatten(1, 2).numpy(), logits.new_empty(logits.shape)
        for image, out in zip(pixels, planes.flatten(2).numpy(), strict=True):
            cv2.transpose(image, out)
        logits = planes
    return activation.compute_probabilities(logits)


def votes(maps: Tensor) -> Tensor:
    """Return 1 for the most probable alternative of each pixel, 0 for the others: (..., alternatives, H, W).

    See `foldseg.views.activation` for what the alternatives are.
    """
    return torch.zeros_like(maps).scatter_(-3, maps.argmax(-3, keepdim=True), 1.0)


def tiled_size(size: tuple[int, int], view: TilesView) -> tuple[int, int]:
    """Return the size that an image of `size` is padded to, so that tiles cover it.

    It is at least that of a tile. Unless the last tiles are shifted back into the image, it is as large as they need.
    """
    if view.border == "shift":
        return max(size[0], view.size[0]), max(size[1], view.size[1])
    height, width = (
        tile + stride * (_count(length, tile, stride) - 1)
        for length, tile, stride in zip(size, view.size, _strides(view), strict=True)
    )
    return height, width


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return the first pixels of tiles that cover `length` with at least `overlap` (a share of `tile`), evenly spread.

    `length` must be at least `tile`.
    """
    count = _count(length, tile, _stride(tile, overlap))
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def stepped_starts(length: int, tile: int, stride: int) -> list[int]:
    """Return the first pixels of tiles, one every `stride`, that cover `length`. The last one is shifted back into it.

    `length` must be at least `tile`.
    """
    return [min(step * stride, length - tile) for step in range(_count(length, tile, stride))]


def _stride(tile: int, overlap: float) -> int:
    return max(1, int(tile * (1 - overlap)))


def _strides(view: TilesView) -> tuple[int, int]:
    if view.stride is not None:
        return view.stride
    assert view.overlap is not None  # settings have either a stride or an overlap
    return _stride(view.size[0], view.overlap), _stride(view.size[1], view.overlap)


def _count(length: int, tile: int, stride: int) -> int:
    return 1 + max(0, -(-(length - tile) // stride))


@lru_cache(maxsize=8)
def _tiling_of(size: tuple[int, int], view: TilesView, device: torch.device) -> Tiling:
    height, width = view.size
    if view.overlap is not None and view.border == "shift":
        tops = tile_starts(size[0], height, view.overlap)
        lefts = tile_starts(size[1], width, view.overlap)
    else:
        down, right = _strides(view)
        tops = stepped_starts(size[0], height, down)
        lefts = stepped_starts(size[1], width, right)
    corners = tuple(product(tops, lefts))
    weights = WEIGHTS[view.weights or MERGES[view.merge].usual_weights](height, width)
    weight_sum = torch.zeros(size)
    for top, left in corners:
        weight_sum[top : top + height, left : left + width] += weights
    return Tiling(corners, weights.to(device), weight_sum.to(device))


def _constant(height: int, width: int) -> Tensor:
    return torch.ones(height, width)


def _pyramid(height: int, width: int) -> Tensor:
    """Return weights (height, width) that fall evenly from 1 in the middle towards the border, never to 0."""

    def ramp(length: int) -> Tensor:
        position = torch.arange(length) + 0.5
        return torch.minimum(position, length - position) / (length / 2)

    return torch.minimum(ramp(height)[:, None], ramp(width)[None, :])


def _gaussian(height: int, width: int) -> Tensor:
    """Return weights (height, width), at least 0.001: a bell.

    Its standard deviation is an eighth of a side, as in MONAI.
    """

    def bell(length: int) -> Tensor:
        position = torch.arange(length) - (length - 1) / 2
        return torch.exp(-0.5 * (position / (_SIGMA * length)) ** 2)

    return (bell(height)[:, None] * bell(width)[None, :]).clamp_min(_SMALLEST_WEIGHT)


WEIGHTS: dict[str, Callable[[int, int], Tensor]] = {"constant": _constant, "gaussian": _gaussian, "pyramid": _pyramid}
"""Name -> a function of a tile's (height, width) to the weights of its pixels, all above 0."""
check_entries(WEIGHTS, TileWeightName, "views/tiles.py: WEIGHTS")


@dataclass(frozen=True)
class TileMerge:
    """How the tiles' probabilities become those of the image: as the weighted mean of `term(probabilities)`.

    `term`: (..., alternatives, H, W) -> the same shape, from 0 to 1, with a sum of 1 at every pixel.
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

"""The prediction views of `foldseg.views` for exported networks, with numpy and OpenCV only.

Who uses an exported file may not have torch, which takes seconds to import and gigabytes on the disk. Tests compare
this module with `foldseg.views`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import PredictView, TilesView
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import TileMergeName
from foldseg.config.schema.views import ImageSizes
from foldseg.data.channels import pad_channels, resize_channels
from foldseg.data.labels import Image
from foldseg.inference.class_rule import EXCLUSIVE, ClassRule

Maps = NDArray[np.float32]
"""(classes, H, W) probabilities."""
Weights = NDArray[np.float32]
Network = Callable[[Image], Maps]
"""Picture (H, W, C) uint8 of a size that the network takes -> its probabilities."""

_OVERLAP = 0.5  # a network of one fixed size predicts pictures of other sizes in tiles with this overlap


@dataclass(frozen=True)
class Plan:
    """How pictures are shown to a network: resized and padded as a view states, perhaps divided into tiles.

    `sizes`: the view, which states how pictures are resized, and the size to which they are padded at least.
    `multiple`: the padded sides are multiples of it. `tile`: height and width of a tile, or None for the whole picture;
    the padded picture is at least as large.
    """

    sizes: ImageSizes
    multiple: int
    tile: tuple[int, int] | None
    overlap: float = _OVERLAP
    merge: TileMergeName = "mean"
    classes: ClassRule = EXCLUSIVE
    """How classes share a pixel."""


def plan_of(view: PredictView, stride: int, size: tuple[int, int] | None, classes: ClassRule = EXCLUSIVE) -> Plan:
    """Return how pictures are shown in `view` to a network of `stride`.

    `size`: the one (height, width) that the network takes, or None if it takes any. `classes`: how they share a pixel.
    ValueError says why the network cannot predict in this view.
    """
    if view.tiles is not None:
        return replace(_plan_of_tiles(view, view.tiles, stride, size), classes=classes)
    if size is not None:
        return Plan(view, 1, size)
    return Plan(view, view.side_multiple(stride), None)


def _plan_of_tiles(sizes: ImageSizes, tiles: TilesView, stride: int, size: tuple[int, int] | None) -> Plan:
    with_other_defaults = TilesView(kind="tiles", size=tiles.size, overlap=tiles.overlap, merge=tiles.merge)
    if tiles.overlap is None or tiles != with_other_defaults:
        raise ValueError("of tiles, size, overlap and merge alone can be chosen")
    if size is not None and tiles.size != size:
        raise ValueError(f"it takes tiles of {list(size)} only")
    if any(side % stride for side in tiles.size):
        raise ValueError(f"sides of tiles should be multiples of {stride}")
    return Plan(sizes, 1, tiles.size, tiles.overlap, tiles.merge)


def predict(network: Network, picture: Image, plan: Plan) -> Maps:
    """Predict a picture (H, W, C) uint8 of any size: probabilities (classes, H, W) float32 on its own grid."""
    height, width = picture.shape[:2]
    resized_height, resized_width = plan.sizes.resized_size((height, width))
    shown = _pad(resize_channels(picture, (resized_height, resized_width)), plan)
    maps = network(shown) if plan.tile is None else _predict_tiles(network, shown, plan)
    maps = maps[:, :resized_height, :resized_width]
    if (resized_height, resized_width) == (height, width):
        return maps
    return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in maps])


def _pad(picture: Image, plan: Plan) -> Image:
    """Pad below and right with the picture's reflection, as far as the plan needs it."""
    height, width = picture.shape[:2]
    # Padding to a square lets images of several sizes batch. A network of one size has its tile instead
    least_height, least_width = plan.tile or plan.sizes.least_size()
    down = _round_up(max(least_height, height), plan.multiple) - height
    right = _round_up(max(least_width, width), plan.multiple) - width
    return pad_channels(picture, (0, down, 0, right))


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _predict_tiles(network: Network, picture: Image, plan: Plan) -> Maps:
    """Predict tiles one by one and merge them. The last ones are shifted into the picture."""
    assert plan.tile is not None
    height, width = plan.tile
    corners, weights, weight_sum = _tiling_of((picture.shape[0], picture.shape[1]), plan)
    merge = MERGES[plan.merge]
    total: Maps | None = None
    for top, left in corners:
        maps = network(picture[top : top + height, left : left + width])
        maps = plan.classes.from_alternatives(merge.term(plan.classes.to_alternatives(maps)))
        if total is None:
            total = np.zeros((len(maps), *picture.shape[:2]), np.float32)
        total[:, top : top + height, left : left + width] += maps * weights
    assert total is not None  # there is at least one tile
    total /= weight_sum
    return total


@lru_cache(maxsize=8)
def _tiling_of(size: tuple[int, int], plan: Plan) -> tuple[list[tuple[int, int]], Weights, Weights]:
    """Return corners of tiles, weights of a tile's pixels, and the sum of weights at each pixel of the picture."""
    assert plan.tile is not None
    height, width = plan.tile
    tops, lefts = _starts(size[0], height, plan.overlap), _starts(size[1], width, plan.overlap)
    corners = list(product(tops, lefts))
    weights = MERGES[plan.merge].weights(height, width)
    weight_sum = np.zeros(size, np.float32)
    for top, left in corners:
        weight_sum[top : top + height, left : left + width] += weights
    return corners, weights, weight_sum


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return first pixels of evenly spread tiles that cover `length` with at least `overlap` (a share of `tile`)."""
    stride = max(1, int(tile * (1 - overlap)))
    count = 1 + max(0, -(-(length - tile) // stride))
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def _constant(height: int, width: int) -> Weights:
    return np.ones((height, width), np.float32)


def _pyramid(height: int, width: int) -> Weights:
    return np.minimum(_ramp(height)[:, None], _ramp(width)[None, :])


def _ramp(length: int) -> NDArray[np.float32]:
    """Return weights (length,) that rise from the border, where they are above 0, to 1 in the middle."""
    position = np.arange(length, dtype=np.float32) + 0.5
    return np.minimum(position, length - position) / np.float32(length / 2)


def _unchanged(maps: Maps) -> Maps:
    return maps


def _votes(maps: Maps) -> Maps:
    """Return 1 for the most probable alternative of each pixel, 0 for the others: (alternatives, ...)."""
    numbers = np.arange(len(maps)).reshape(-1, *[1] * (maps.ndim - 1))
    return (maps.argmax(0) == numbers).astype(np.float32)


@dataclass(frozen=True)
class TileMerge:
    """How the tiles' probabilities become those of the picture: the mean of `term(probabilities)` by `weights`.

    `term` is a function of alternatives (see `foldseg.inference.class_rule`).
    """

    term: Callable[[Maps], Maps]
    weights: Callable[[int, int], Weights]


MERGES: dict[TileMergeName, TileMerge] = {
    "mean": TileMerge(_unchanged, _pyramid),
    "vote": TileMerge(_votes, _constant),
}
"""Name -> how tiles are merged, as by `views/tiles.py: MERGES`."""
check_entries(MERGES, TileMergeName, "deploy/numpy_views.py: MERGES")

"""Where the pixels go: padding, resizing, cropping, tiling, and the way back to the original grid.

Images are (H, W, 3) uint8, masks (H, W) uint8 with 255 for void, sizes (height, width). Padding is added below and
to the right: reflected for images, void for masks. Masks are resampled by nearest neighbour only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import CropView, FullView, PredictView, ResizedView, TilesView
from foldseg.data.labels import IGNORE_INDEX, Image, Mask

Network = Callable[[Tensor], Tensor]
"""Batch of images (N, 3, H, W) uint8 -> logits (N, classes, H, W)."""

_TILE_BATCH = 4


@dataclass(frozen=True)
class Grid:
    """The sizes of one image on its way into the network: as stored, as resized, as padded."""

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]


def grid_of(size: tuple[int, int], view: PredictView, stride: int) -> Grid:
    """Return the grid on which an image of `size` is predicted in `view` by a network of `stride`."""
    resized = scaled(size, view.factor) if isinstance(view, ResizedView) else size
    least = view.size if isinstance(view, TilesView) else (0, 0)
    enough = max(resized[0], least[0]), max(resized[1], least[1])
    return Grid(size, resized, padded_size(enough, side_multiple(view, stride)))


def side_multiple(view: PredictView | CropView, stride: int) -> int:
    """Return what must divide the sides that a network of `stride` sees in `view`."""
    return math.lcm(stride, view.multiple) if isinstance(view, FullView) else stride


def prepare(image: Image, grid: Grid) -> Image:
    """Resize and pad an image for the network: (H, W, 3) of `grid.original` -> `grid.padded`."""
    return pad_image(resize_image(image, grid.resized), grid.padded)


def probabilities(network: Network, inputs: Tensor, view: PredictView) -> Tensor:
    """Prepared images (N, 3, H, W) uint8 -> class probabilities (N, classes, H, W) float32 on the padded grid."""
    if not isinstance(view, TilesView):
        return network(inputs).float().softmax(1)
    return _tiled(network, inputs, view)


def restore(maps: Tensor, grid: Grid) -> Tensor:
    """Probabilities on the padded grid (N, C, H, W) -> on the image's own grid; resized ones bilinearly."""
    maps = maps[..., : grid.resized[0], : grid.resized[1]]
    if grid.resized == grid.original:
        return maps
    return functional.interpolate(maps, grid.original, mode="bilinear", align_corners=False)


def scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return `size` times `factor`, rounded, at least 1x1."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return the smallest size of at least `size` whose sides `multiple` divides."""
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def pad_image(image: Image, size: tuple[int, int]) -> Image:
    """Pad below and right to `size` with the image's reflection, which leaves no edge to be mistaken for one."""
    if image.shape[:2] == size:
        return image
    down, right = size[0] - image.shape[0], size[1] - image.shape[1]
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.uint8)


def pad_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Pad below and right to `size` with void."""
    if mask.shape == size:
        return mask
    down, right = size[0] - mask.shape[0], size[1] - mask.shape[1]
    padded = cv2.copyMakeBorder(mask, 0, down, 0, right, cv2.BORDER_CONSTANT, value=IGNORE_INDEX)
    return np.asarray(padded, np.uint8)


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Resize by area when shrinking, bilinearly when growing."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize by nearest neighbour, pixel centres aligned (OpenCV's plain INTER_NEAREST shifts by half a pixel)."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def random_crop(
    image: Image,
    mask: Mask,
    size: tuple[int, int],
    scale: tuple[float, float],
    rng: np.random.Generator,
    around: tuple[int, int] | None = None,
) -> tuple[Image, Mask]:
    """Cut a random window out of a randomly scaled image; what lies outside of the image is padding.

    The window is cut first and scaled afterwards, so that the cost does not depend on the image's size. It holds the
    pixel `around` (row, column), somewhere.
    """
    factor = rng.uniform(*scale)
    window = scaled(size, 1 / factor)
    top, left = (
        int(rng.integers(*_starts(*sizes))) for sizes in zip(mask.shape, window, around or (None, None), strict=True)
    )
    area = np.s_[top : top + window[0], left : left + window[1]]
    image, mask = pad_image(image[area], window), pad_mask(mask[area], window)
    return resize_image(image, size), resize_mask(mask, size)


def _starts(length: int, window: int, pixel: int | None) -> tuple[int, int]:
    """Range of the first pixels of windows that lie within `length` (if they can) and hold `pixel`."""
    last = max(0, length - window)
    return (0, last + 1) if pixel is None else (max(0, pixel - window + 1), min(pixel, last) + 1)


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of tiles that cover `length` with at least `overlap` (a share of `tile`); the last is shifted in.

    Tiles are spread evenly; `length` must be at least `tile`.
    """
    stride = max(1, int(tile * (1 - overlap)))
    count = 1 + max(0, -(-(length - tile) // stride))
    return np.linspace(0, length - tile, count).round().astype(int).tolist()


def _tiled(network: Network, inputs: Tensor, view: TilesView) -> Tensor:
    """Average tiles, each weighted by a pyramid, since a network is least sure at its borders; or count their votes."""
    height, width = view.size
    weight = (_pyramid(height, width) if view.merge == "mean" else torch.ones(height, width)).to(inputs.device)
    total: Tensor | None = None
    norm = torch.zeros(inputs.shape[-2:], device=inputs.device)
    places = [
        (image, top, left)
        for image in range(len(inputs))
        for top in tile_starts(inputs.shape[-2], height, view.overlap)
        for left in tile_starts(inputs.shape[-1], width, view.overlap)
    ]
    for start in range(0, len(places), _TILE_BATCH):
        batch = places[start : start + _TILE_BATCH]
        tiles = torch.stack([inputs[i, :, y : y + height, x : x + width] for i, y, x in batch])
        maps = network(tiles).float().softmax(1)
        for (i, y, x), tile in zip(batch, maps if view.merge == "mean" else _votes(maps), strict=True):
            if total is None:
                total = tile.new_zeros(len(inputs), tile.shape[0], *inputs.shape[-2:])
            total[i, :, y : y + height, x : x + width] += tile * weight
            if i == 0:
                norm[y : y + height, x : x + width] += weight
    assert total is not None
    return total / norm


def _votes(maps: Tensor) -> Tensor:
    """Probabilities (N, C, H, W) -> the same shape: 1 for the most probable class of each pixel, 0 for the others."""
    return torch.zeros_like(maps).scatter_(1, maps.argmax(1, keepdim=True), 1.0)


def _pyramid(height: int, width: int) -> Tensor:
    """(height, width) weights that fall from 1 in the middle towards the border, never to 0."""

    def ramp(length: int) -> Tensor:
        position = torch.arange(length) + 0.5
        return torch.minimum(position, length - position) / (length / 2)

    return torch.minimum(ramp(height)[:, None], ramp(width)[None, :])

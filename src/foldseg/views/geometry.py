"""Padding, resizing and cropping of images, and the way back from a prediction to the original grid.

Images are (H, W, C) uint8, masks (H, W) uint8 with 255 for void, sizes (height, width). Masks are resampled by nearest
neighbour only.

Padding is added below and to the right. It is void in masks and the picture's reflection in images. There are two
exceptions in prediction: a grid's `offset` puts some padding above and to the left, and its `border` "replicate"
repeats the outermost pixels of the image.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import PredictView
from foldseg.config.schema.views import ImageSizes
from foldseg.config.schema.views import scale_size as scale_size
from foldseg.data.channels import pad_channels, resize_channels
from foldseg.data.labels import IGNORE_INDEX, Image, Mask
from foldseg.views.activation import SOFTMAX, Activation
from foldseg.views.tiles import Network as Network
from foldseg.views.tiles import class_probabilities, predict_tiles, tiled_size

Border = Literal["reflect", "replicate"]
_BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE}


@dataclass(frozen=True)
class Grid:
    """The sizes of one image on its way into the network: as stored, as resized, as padded.

    `offset` rows and columns of the padding are above and to the left (a shift of test-time augmentation). The rest is
    below and to the right.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    border: Border = "reflect"


def grid_of(size: tuple[int, int], view: PredictView, stride: int, scale: float = 1.0) -> Grid:
    """Return the grid on which an image of `size` is predicted in `view` by a network of `stride`.

    The image is resized by `scale` in addition to what the view itself does.
    """
    return padded_grid(size, view.resized_size(size, scale), view, stride, scale=scale)


def padded_grid(
    original: tuple[int, int],
    resized: tuple[int, int],
    view: PredictView,
    stride: int,
    offset: tuple[int, int] = (0, 0),
    scale: float = 1.0,
) -> Grid:
    """Return the grid of an image that has been `resized` already, padded as `view`, `stride` and `offset` need it.

    `scale`: the factor by which it was resized in addition to what the view itself does.
    """
    covered = resized[0] + offset[0], resized[1] + offset[1]
    if view.tiles is None:
        return Grid(original, resized, shown_size(covered, view, stride, scale), offset)
    border: Border = "replicate" if view.tiles.border == "replicate" else "reflect"
    return Grid(original, resized, tiled_size(covered, view.tiles), offset, border)


def prepare_image(image: Image, grid: Grid) -> Image:
    """Resize and pad an image for the network: (H, W, C) of `grid.original` -> `grid.padded`."""
    image = resize_image(image, grid.resized)
    if image.shape[:2] == grid.padded:
        return image
    (top, left), (height, width) = grid.offset, grid.resized
    down, right = grid.padded[0] - height - top, grid.padded[1] - width - left
    return pad_channels(image, (top, down, left, right), _BORDERS[grid.border])


def pad_batch(images: Tensor, grid: Grid) -> Tensor:
    """Pad images (N, C, *grid.resized) on their device. The result is exactly that of `prepare_image`."""
    if images.shape[-2:] == grid.padded:
        return images
    rows = _source_indices(grid.resized[0], grid.offset[0], grid.padded[0], grid.border)
    columns = _source_indices(grid.resized[1], grid.offset[1], grid.padded[1], grid.border)
    return images.index_select(-2, rows.to(images.device)).index_select(-1, columns.to(images.device))


def _source_indices(length: int, before: int, total: int, border: Border) -> Tensor:
    """Return, for each padded pixel along one axis, the index of the image pixel that is copied into it: (total,).

    The image has `length` pixels. `before` of the `total` padded pixels come before the image.
    """
    place = torch.arange(total) - before
    if border == "replicate" or length == 1:
        return place.clamp(0, length - 1)
    place = place.remainder(2 * length - 2)
    return torch.minimum(place, 2 * length - 2 - place)


def predict_probabilities(
    network: Network, inputs: Tensor, view: PredictView, activation: Activation = SOFTMAX
) -> Tensor:
    """Return class probabilities of prepared images: (N, C, H, W) uint8 -> (N, classes, H, W) float32, padded."""
    if view.tiles is None:
        return class_probabilities(network(inputs), activation)
    return predict_tiles(network, inputs, view.tiles, activation)


def remove_padding(maps: Tensor, grid: Grid) -> Tensor:
    """Cut the padding off: (..., *grid.padded) -> (..., *grid.resized), without a copy."""
    (top, left), (height, width) = grid.offset, grid.resized
    return maps[..., top : top + height, left : left + width]


def restore_maps(maps: Tensor, grid: Grid) -> Tensor:
    """Bring probabilities (N, C, H, W) from the padded grid to the image's own grid, bilinearly if it was resized."""
    return resize_maps(remove_padding(maps, grid), grid.original)


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize probabilities (N, C, H, W) bilinearly to `size`. What summed to 1 at every pixel still does."""
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def shown_size(resized: tuple[int, int], view: ImageSizes, stride: int, scale: float = 1.0) -> tuple[int, int]:
    """Return the size to which a `resized` image, or a window of it, is padded for a network of `stride` in `view`."""
    least = view.least_size(scale)
    return padded_size((max(resized[0], least[0]), max(resized[1], least[1])), view.side_multiple(stride))


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return the smallest size that holds `size` and whose sides are multiples of `multiple`."""
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def pad_image(image: Image, size: tuple[int, int]) -> Image:
    """Pad below and right to `size` with the image's reflection: it leaves no edge that a network could learn."""
    if image.shape[:2] == size:
        return image
    down, right = size[0] - image.shape[0], size[1] - image.shape[1]
    return pad_channels(image, (0, down, 0, right))


def pad_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Pad below and right to `size` with void."""
    if mask.shape == size:
        return mask
    down, right = size[0] - mask.shape[0], size[1] - mask.shape[1]
    padded = cv2.copyMakeBorder(mask, 0, down, 0, right, cv2.BORDER_CONSTANT, value=IGNORE_INDEX)
    return np.asarray(padded, np.uint8)


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Resize by area when shrinking, bilinearly when growing."""
    return resize_channels(image, size)


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
    resized: tuple[int, int] | None = None,
) -> tuple[Image, Mask]:
    """Cut a random window out of a randomly scaled image. Where it reaches beyond the image, it is padded.

    `resized`: the size to which the image is resized before it is scaled; None: its own size.

    The window is cut first and scaled afterwards, so that the cost does not depend on the image's size. If a pixel
    `around` (row, column) is given, the window holds it.
    """
    factor = rng.uniform(*scale)
    down, across = (new / old for new, old in zip(resized or mask.shape, mask.shape, strict=True))
    window = max(1, round(size[0] / (factor * down))), max(1, round(size[1] / (factor * across)))
    row, column = around or (None, None)
    top = int(rng.integers(*_range_of_starts(mask.shape[0], window[0], row)))
    left = int(rng.integers(*_range_of_starts(mask.shape[1], window[1], column)))
    area = np.s_[top : top + window[0], left : left + window[1]]
    image, mask = pad_image(image[area], window), pad_mask(mask[area], window)
    return resize_image(image, size), resize_mask(mask, size)


def _range_of_starts(length: int, window: int, pixel: int | None) -> tuple[int, int]:
    """Return the range [low, high) from which a window's first pixel is drawn, along one axis.

    The window lies within `length` pixels, or starts at 0 if it is longer. If `pixel` is given, the window contains it.
    """
    last = max(0, length - window)
    if pixel is None:
        return 0, last + 1
    return max(0, pixel - window + 1), min(pixel, last) + 1

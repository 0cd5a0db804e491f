"""Images of any number of channels: resizing and padding them with OpenCV, and their colours on a screen.

OpenCV drops the axis of a single channel, and some of its functions take at most four.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from foldseg.data.labels import Image

_MOST = 4
"""Channels that all of OpenCV's functions take."""


def apply_by_channels(function: Callable[[Image], Any], image: Image) -> Image:
    """Return what an OpenCV function makes of an image (H, W, C) uint8, for any number of channels: (h, w, C)."""
    channels = image.shape[2]
    if channels <= _MOST:
        changed = function(image)
        return np.asarray(changed if changed.ndim == 3 else changed[..., None], np.uint8)
    groups = [np.ascontiguousarray(image[..., start : start + _MOST]) for start in range(0, channels, _MOST)]
    return np.concatenate([apply_by_channels(function, group) for group in groups], axis=2)


def resize_channels(image: Image, size: tuple[int, int]) -> Image:
    """Resize an image (H, W, C) to `size`: by area when it shrinks, bilinearly when it grows."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return apply_by_channels(lambda part: cv2.resize(part, size[::-1], interpolation=interpolation), image)


def pad_channels(image: Image, border: tuple[int, int, int, int], kind: int = cv2.BORDER_REFLECT_101) -> Image:
    """Pad an image (H, W, C). `border`: pixels above, below, left and right; `kind`: OpenCV's number of a border."""
    return apply_by_channels(lambda part: cv2.copyMakeBorder(part, *border, kind), image)


def as_rgb(image: Image) -> Image:
    """Return an image (H, W, C) as it is drawn: RGB (H, W, 3).

    One or two channels become grey, which is the first channel. Of more than three channels, the first three are red,
    green and blue.
    """
    if image.shape[2] < 3:
        return np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def as_grey(image: Image) -> Image:
    """Return an image (H, W, C) as grey (H, W): the luminance of RGB, otherwise the mean of the channels."""
    if image.shape[2] == 1:
        return image[..., 0]
    if image.shape[2] == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(image.mean(2).round(), np.uint8)

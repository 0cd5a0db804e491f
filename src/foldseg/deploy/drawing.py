"""Predictions as pictures: colours mixed into a frame, and a legend below it."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from foldseg.data.labels import IGNORE_INDEX, Image, LabelSet, Mask

_PAPER, _INK, _EDGE = (255, 255, 255), (0, 0, 0), (115, 115, 115)
_SMALLEST, _LARGEST, _SHARE = 11, 28, 1 / 55  # of the letters, pixels, and as a share of the picture's width


def overlay(image: Image, mask: Mask, labels: LabelSet, alpha: float = 0.5) -> Image:
    """Mix class colours into a frame: round((1 - alpha) frame + alpha colour); void pixels keep the frame.

    image (H, W, 3) uint8 RGB, mask (H, W) uint8 class indices, void 255.
    """
    mixed = np.asarray(cv2.addWeighted(image, 1 - alpha, labels.colourise(mask), alpha, 0), np.uint8)
    void = mask == IGNORE_INDEX
    mixed[void] = image[void]
    return mixed


def with_legend(image: Image, labels: LabelSet) -> Image:
    """Add the legend below a picture (H, W, 3)."""
    return np.concatenate([image, legend(labels, image.shape[1])])


@lru_cache(maxsize=8)
def legend(labels: LabelSet, width: int) -> Image:
    """Draw a strip (height, width, 3) uint8 RGB: a square in its colour and its name for every class, in columns.

    The letters grow with the width; the names of a very narrow strip are cut off.
    """
    size = round(min(max(width * _SHARE, _SMALLEST), _LARGEST))
    font = ImageFont.load_default(size)
    column = max(round(font.getlength(name)) for name in labels.names) + 3 * size
    columns = min(max(1, width // column), len(labels))
    rows = -(-len(labels) // columns)
    line = round(1.5 * size)
    strip = PillowImage.new("RGB", (width, rows * line + size // 2), _PAPER)
    draw = ImageDraw.Draw(strip)
    for index, label in enumerate(labels.classes):
        left, top = index % columns * (width // columns) + size // 2, index // columns * line + size // 2
        draw.rectangle((left, top, left + size, top + size - 1), fill=label.colour, outline=_EDGE)
        draw.text((left + round(1.5 * size), top + size // 2), label.name, _INK, font, anchor="lm")
    picture = np.asarray(strip, np.uint8)
    picture.setflags(write=False)  # it is the cache's
    return picture

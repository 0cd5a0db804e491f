"""Draws predictions: the classes' colours mixed into a picture, and a legend below it."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from foldseg.data.channels import as_rgb
from foldseg.data.labels import Image, LabelSet, Mask

_BACKGROUND, _TEXT, _OUTLINE = (255, 255, 255), (0, 0, 0), (115, 115, 115)
_SMALLEST_FONT, _LARGEST_FONT = 11, 28  # pixels
_FONT_SHARE = 1 / 55  # the size of the font, as a share of the picture's width


def overlay(image: Image, mask: Mask, labels: LabelSet, alpha: float = 0.5) -> Image:
    """Return the image with the classes' colours mixed in: round((1 - alpha) image + alpha colour).

    image (H, W, C) uint8, drawn as `as_rgb` says; mask (H, W) uint8 class indices or class bits, void 255. Pixels that
    are void or of no class stay as they are.
    """
    image = as_rgb(image)
    mixed = np.asarray(cv2.addWeighted(image, 1 - alpha, labels.colourise(mask), alpha, 0), np.uint8)
    is_of_none = np.array(~labels.values_of_classes.any(0), np.uint8)
    stays = np.asarray(cv2.LUT(mask, is_of_none), np.uint8).view(np.bool_)
    mixed[stays] = image[stays]
    return mixed


def with_legend(image: Image, labels: LabelSet) -> Image:
    """Return a picture (H, W, 3) with the legend added below it."""
    return np.concatenate([image, legend(labels, image.shape[1])])


@lru_cache(maxsize=8)
def legend(labels: LabelSet, width: int) -> Image:
    """Draw a legend (height, width, 3) uint8 RGB: for every class a square in its colour and its name, in columns.

    The font grows with the width. In a very narrow legend names are cut off.
    """
    font_size = round(min(max(width * _FONT_SHARE, _SMALLEST_FONT), _LARGEST_FONT))
    font = ImageFont.load_default(font_size)
    column_width = max(round(font.getlength(name)) for name in labels.names) + 3 * font_size
    columns = min(max(1, width // column_width), len(labels))
    rows = -(-len(labels) // columns)
    line_height = round(1.5 * font_size)
    strip = PillowImage.new("RGB", (width, rows * line_height + font_size // 2), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for index, label in enumerate(labels.classes):
        row, column = divmod(index, columns)
        left, top = column * (width // columns) + font_size // 2, row * line_height + font_size // 2
        draw.rectangle((left, top, left + font_size, top + font_size - 1), fill=label.colour, outline=_OUTLINE)
        draw.text((left + round(1.5 * font_size), top + font_size // 2), label.name, _TEXT, font, anchor="lm")
    picture = np.asarray(strip, np.uint8)
    picture.setflags(write=False)  # the cache returns the same array again
    return picture

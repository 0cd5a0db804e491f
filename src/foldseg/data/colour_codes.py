"""Raw ids of pictures whose pixels are colours."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import UNKNOWN, Colour, Image, Mask


@lru_cache(maxsize=8)
def _id_of_colour(colours: tuple[Colour, ...]) -> NDArray[np.uint8]:
    """Return a table of 16 MiB: colour as little-endian 0x00BBGGRR -> raw id.

    It is fast in spite of its size, since a picture's few colours touch few cache lines.
    """
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for raw_id, (red, green, blue) in enumerate(colours):
        table[red | green << 8 | blue << 16] = raw_id
    return table


def find_raw_ids(picture: Image, colours: tuple[Colour, ...]) -> Mask:
    """Return the raw ids (H, W) uint8 of an RGB picture (H, W, 3) uint8. ValueError names some unknown colours.

    `colours[i]` is the colour of raw id i.
    """
    rgba = np.zeros((*picture.shape[:2], 4), np.uint8)
    cv2.mixChannels([picture], [rgba], [0, 0, 1, 1, 2, 2])
    code = rgba.view(np.uint32)[..., 0]
    ids = _id_of_colour(colours).take(code)
    if (ids == UNKNOWN).any():
        unknown = np.unique(picture[ids == UNKNOWN].reshape(-1, 3), axis=0).tolist()
        examples = ", ".join(str(tuple(colour)) for colour in unknown[:5])
        raise ValueError(f"holds {len(unknown)} unknown colour(s), e.g. RGB {examples}; {len(colours)} are known")
    return ids

"""Reading masks of others as they are, and writing our own: PNGs with a palette, which viewers show in colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from foldseg.data.colour_codes import find_raw_ids
from foldseg.data.headers import Header
from foldseg.data.labels import Mask, RawIds
from foldseg.data.mask_files import read_raw_mask
from foldseg.data.reading import read_image_header
from foldseg.errors import FoldsegError
from foldseg.importing.annotations import Colour


def read_raw_ids(path: Path) -> tuple[RawIds, Header]:
    """Return the values (H, W) of a mask, 8 or 16 bits, and its header. A palette's index is the value.

    A picture of equal channels counts as one. FoldsegError if it has colours, or is damaged.
    """
    values, _ = read_raw_mask(path)
    if values.ndim == 3:
        raise FoldsegError(f"{path}: holds colours; expected a mask of ids, with one channel")
    return values, read_image_header(path)


def read_raw_colours(path: Path, colours: Sequence[Colour]) -> tuple[Mask, Header]:
    """Return the number (H, W) uint8 of each pixel's colour among `colours`, and the header of the picture.

    A palette's colours count, not its indices. FoldsegError if the picture holds other colours, or is damaged.
    """
    header = read_image_header(path)
    picture: NDArray[Any] = _read_palette_colours(path) if header.paletted else read_raw_mask(path)[0]
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    if picture.dtype != np.uint8:
        raise FoldsegError(f"{path}: has {header.bits} bits a channel; expected colours of 8 bits")
    try:
        return find_raw_ids(np.asarray(picture, np.uint8), tuple(colours)), header
    except ValueError as error:
        raise FoldsegError(f"{path}: {error}") from None


def _read_palette_colours(path: Path) -> NDArray[np.uint8]:
    read_raw_mask(path)  # which notices damage
    with PillowImage.open(path) as picture:
        return np.array(picture.convert("RGB"), np.uint8)


def write_mask(path: Path, mask: Mask, palette: bytes) -> None:
    """Write a mask (H, W) uint8 as a PNG with a palette of 256 RGB colours, 768 bytes."""
    picture = PillowImage.fromarray(mask).convert("L")
    picture.putpalette(palette)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "PNG", compress_level=4)

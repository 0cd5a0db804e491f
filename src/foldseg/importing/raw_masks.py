"""Reading masks of others as they are, and writing our own: PNGs with a palette, which viewers show in colours."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from foldseg.data.headers import Header, read_header
from foldseg.data.labels import Mask, find_raw_ids
from foldseg.errors import FoldsegError
from foldseg.importing.annotations import Colour
from foldseg.inputs import read_bytes

RawIds = NDArray[np.uint8] | NDArray[np.uint16]
_TRANSPOSED = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what makes a picture upright."""


def read_raw_ids(path: Path) -> tuple[RawIds, Header]:
    """Return the values (H, W) of a mask, 8 or 16 bits, and its header. A palette's index is the value.

    A picture of three equal channels counts as one. FoldsegError if it has colours, or is damaged.
    """
    content, header = _read(path)
    if header.paletted or header.bits < 8:
        return _decode_with_pillow(path, content), header
    picture = _decode(path, content)
    if picture.ndim == 3:
        if not all(
            np.array_equal(picture[..., 0], picture[..., channel]) for channel in range(1, min(3, picture.shape[2]))
        ):
            raise FoldsegError(f"{path}: holds colours; expected a mask of ids, with one channel")
        picture = picture[..., 0]
    if picture.dtype not in (np.uint8, np.uint16):
        raise FoldsegError(f"{path}: holds numbers of the type {picture.dtype}; expected ids of 8 or 16 bits")
    return np.ascontiguousarray(picture), header


def read_raw_colours(path: Path, colours: Sequence[Colour]) -> tuple[Mask, Header]:
    """Return the number (H, W) uint8 of each pixel's colour among `colours`, and the header of the picture.

    FoldsegError if it holds other colours, or is damaged.
    """
    content, header = _read(path)
    picture = _decode(path, content)
    if picture.dtype != np.uint8:
        raise FoldsegError(f"{path}: has {picture.dtype.itemsize * 8} bits a channel; expected colours of 8 bits")
    if picture.ndim == 2:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    try:
        return find_raw_ids(np.ascontiguousarray(picture[..., 2::-1]), tuple(colours)), header
    except ValueError as error:
        raise FoldsegError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[bytes, Header]:
    content = read_bytes(path)
    return content, read_header(path, io.BytesIO(content), check_sums=True)


def _decode(path: Path, content: bytes) -> NDArray[np.uint8]:
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise FoldsegError(f"{path}: cannot be decoded ({error.err or error})") from error
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    return np.asarray(picture)


def _decode_with_pillow(path: Path, content: bytes) -> RawIds:
    try:
        with PillowImage.open(io.BytesIO(content)) as picture:
            return np.array(picture, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise FoldsegError(f"{path}: is damaged: {error}") from error


def make_upright(mask: Mask, orientation: int) -> Mask:
    """Turn a mask that was drawn on the stored pixels of an image with this orientation of EXIF."""
    if orientation == 1:
        return mask
    return np.array(PillowImage.fromarray(mask).transpose(_TRANSPOSED[orientation]), np.uint8)


def write_mask(path: Path, mask: Mask, palette: bytes) -> None:
    """Write a mask (H, W) uint8 as a PNG with a palette of 256 RGB colours, 768 bytes."""
    picture = PillowImage.fromarray(mask).convert("L")
    picture.putpalette(palette)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "PNG", compress_level=6)

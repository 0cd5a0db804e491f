"""Reading masks of others as they are, and writing our own: PNGs with a palette, which viewers show in colours."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    picture = _decode_png(path, content, "") if header.kind == "PNG" else _decode(path, content)
    if picture.ndim == 3:
        colours = picture[..., :3] if picture.shape[2] > 2 else picture[..., :1]  # the rest is transparency
        if (colours != colours[..., :1]).any():
            raise FoldsegError(f"{path}: holds colours; expected a mask of ids, with one channel")
        picture = colours[..., 0]
    if picture.dtype not in (np.uint8, np.uint16):
        raise FoldsegError(f"{path}: holds numbers of the type {picture.dtype}; expected ids of 8 or 16 bits")
    return np.ascontiguousarray(picture), header


def read_raw_colours(path: Path, colours: Sequence[Colour]) -> tuple[Mask, Header]:
    """Return the number (H, W) uint8 of each pixel's colour among `colours`, and the header of the picture.

    FoldsegError if it holds other colours, or is damaged.
    """
    content, header = _read(path)
    if header.bits > 8:
        raise FoldsegError(f"{path}: has {header.bits} bits a channel; expected colours of 8 bits")
    if header.kind == "PNG":
        picture = _decode_png(path, content, "RGB")
    else:
        decoded = _decode(path, content)
        picture = cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB) if decoded.ndim == 2 else decoded[..., 2::-1]
    try:
        return find_raw_ids(np.ascontiguousarray(picture), tuple(colours)), header
    except ValueError as error:
        raise FoldsegError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[bytes, Header]:
    content = read_bytes(path)
    return content, read_header(path, io.BytesIO(content), check_sums=True)


def _decode(path: Path, content: bytes) -> NDArray[Any]:
    """Decode a picture with OpenCV, with its channels and bits as they are stored: blue comes first."""
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise FoldsegError(f"{path}: cannot be decoded ({error.err or error})") from error
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    return np.asarray(picture)


def _decode_png(path: Path, content: bytes, mode: str) -> NDArray[Any]:
    """Decode a PNG with Pillow, which returns a palette's indices, in a mode of Pillow ("": as it is stored).

    OpenCV would replace indices by colours, and libpng would print lines that name no file.
    """
    try:
        with PillowImage.open(io.BytesIO(content)) as picture:
            if mode:
                return np.array(picture.convert(mode))
            values = np.array(picture)
            return values.astype(np.uint8) if values.dtype == bool else values
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
    picture.save(path, "PNG", compress_level=4)

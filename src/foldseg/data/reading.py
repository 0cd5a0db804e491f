"""Reading images. Errors name the file that is missing, damaged or of the wrong kind.

Masks are read in `mask_files.py`.

A picture is never read in part, or in another way than was meant. So its header is read first (`headers.py`), and
damage within a JPEG is an error (`jpegs.py`). What a file leaves open is decided by the settings `data.pictures`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.data import jpegs
from foldseg.data.headers import Header, read_header
from foldseg.data.labels import Image
from foldseg.errors import FoldsegError
from foldseg.inputs import check_is_file, read_bytes

# OpenCV's log lines do not name the file; the errors of this module do
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

AS_SHOWN = Pictures()
"""The settings for pictures that belong to no data set: they are read as a viewer shows them."""

_NEARLY_BLACK = 1 << 14
"""A 16-bit image without a larger value is 12 or 14 bits deep, or very dark."""
_SHRINKS = (8, 4, 2)
_MIRRORED = (2, 4, 5, 7)
"""Those of EXIF's orientations that are mirrored."""
_ROTATIONS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_COUNTERCLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
"""EXIF's orientation -> the rotation that makes a picture upright, after mirroring."""
_INVERSE_ORIENTATIONS = {6: 8, 8: 6}
"""The orientation that undoes another one; all others undo themselves."""


def read_image(path: Path, pictures: Pictures = AS_SHOWN) -> Image:
    """Read a picture as RGB (H, W, 3) uint8, upright unless `pictures` says otherwise.

    16 bits become 8, so that `pictures.white_level` becomes 255. Grey becomes three equal channels. Transparency is
    ignored. FoldsegError if the file is missing, damaged or cannot be read in one way only.
    """
    content, header = _read(path)
    with _named_errors(path, header, 3):
        if header.kind == "JPEG":
            picture = jpegs.decode_rgb(path, content, header)
        elif header.bits in range(1, 9):
            picture = _decode(content, cv2.IMREAD_COLOR_RGB)
        else:
            picture = _decode_deep(path, content, header, pictures)
        if picture is None:
            raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        return np.asarray(_orient(picture, header, pictures), np.uint8)


def read_small_grey(path: Path, width: int) -> NDArray[np.uint8]:
    """Read a picture upright as grey (H, W) uint8.

    A JPEG may be read at 1/2, 1/4 or 1/8 of its size, at least `width` pixels wide. At 1/8 a JPEG of 1936x1216 takes
    half of the time that it takes in colours and in full size.
    """
    content, header = _read(path)
    if header.kind != "JPEG":
        return np.asarray(cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY), np.uint8)
    most = header.size(upright=True)[1] // width
    shrink = next((factor for factor in _SHRINKS if factor <= most), 1)
    with _named_errors(path, header, 1):
        picture = jpegs.decode_grey(path, content, header, shrink)
        if picture is None:
            raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        picture = picture.reshape(picture.shape[:2])
        return np.asarray(_orient(picture, header, AS_SHOWN), np.uint8)


def read_image_size(path: Path, pictures: Pictures = AS_SHOWN) -> tuple[int, int]:
    """Return (height, width) of what `read_image` returns, from the file's header.

    FoldsegError if the file is no picture or is cut short.
    """
    return read_image_header(path).size(pictures.upright)


def read_image_header(path: Path) -> Header:
    """Return the header of a picture file. FoldsegError if the file is no picture or is cut short."""
    check_is_file(path)
    try:
        with path.open("rb") as stream:
            return read_header(path, stream)
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error


def describe_size_difference(
    mask: Path | None, mask_size: tuple[int, ...], image: Path, size: tuple[int, ...], orientation: int
) -> str:
    """Say that a mask and its image differ in size, both (height, width), and why that may be.

    `orientation`: that of the image, as its EXIF says.
    """
    text = f"{mask}: is {mask_size[1]}x{mask_size[0]}, its image {image} is {size[1]}x{size[0]} (width x height)"
    if orientation == 1:
        return f"{text}; if only its scale differs, data.pictures.resize_masks=true resizes it"
    return (
        f"{text}; the image has the EXIF orientation {orientation}: with data.pictures.orientation=upright the mask "
        "has to be upright, as viewers show the image; with data.pictures.orientation=stored neither is turned"
    )


def check_pixels(path: Path, pictures: Pictures = AS_SHOWN) -> Header:
    """Check that a picture's pixels are undamaged, and return its header. FoldsegError otherwise.

    An 8-bit PNG has check sums, so it is not decoded. A JPEG is decoded at an eighth of its size.
    """
    content, header = _read(path)
    with _named_errors(path, header, 1):
        if header.kind == "JPEG" and header.channels != 4:
            if jpegs.decode_grey(path, content, header, _SHRINKS[0]) is None:
                raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        elif header.kind != "PNG" or header.bits > 8:
            read_image(path, pictures)
    return header


def _read(path: Path) -> tuple[bytes, Header]:
    """Return the content of a picture file and its header, with the check sums of a PNG verified."""
    content = read_bytes(path)
    return content, read_header(path, io.BytesIO(content), check_sums=True)


@contextmanager
def _named_errors(path: Path, header: Header, channels: int) -> Iterator[None]:
    """Turn the exceptions of decoders into a FoldsegError that names the file."""
    try:
        yield
    except MemoryError as error:
        raise _too_large(path, header, channels) from error
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise _too_large(path, header, channels) from error
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded ({error.err or error})") from error


def _too_large(path: Path, header: Header, channels: int) -> FoldsegError:
    size = header.height * header.width * channels / 2**30
    return FoldsegError(
        f"{path}: is {header.width}x{header.height} pixels, for which there is not enough memory ({size:.2f} GiB once "
        "it is decoded); cut it into parts or make it smaller"
    )


def _decode(content: bytes, flags: int) -> Any:
    """Decode a picture with OpenCV, as it is stored. None if that fails."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode_deep(path: Path, content: bytes, header: Header, pictures: Pictures) -> Any:
    """Decode a picture that has, or may have, more than 8 bits per channel: RGB (H, W, 3) uint8."""
    if header.bits > 16 or header.numbers != "unsigned":
        raise FoldsegError(
            f"{path}: holds {header.numbers} numbers of {header.bits} bits, and nothing says which of them is white; "
            "convert it to 8 or 16 bits (unsigned integers)"
        )
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype == np.uint8:
        return _decode(content, cv2.IMREAD_COLOR_RGB)
    if picture.dtype != np.uint16:
        raise FoldsegError(f"{path}: holds numbers of the type {picture.dtype}; convert it to 8 or 16 bits")
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = picture[..., :3]
    largest, white = int(picture.max()), pictures.white_level
    if white is None and largest < _NEARLY_BLACK:
        raise FoldsegError(
            f"{path}: is a 16-bit picture without a value above {largest}, so nearly black; if white has another value "
            "in it than 65535, such as 4095 (12 bits), say so: data.pictures.white_level=4095 (predict_images: "
            "--white-level 4095); if it is that dark, 65535"
        )
    if white is not None and largest > white:
        raise FoldsegError(f"{path}: holds the value {largest}; white is {white} (data.pictures.white_level)")
    table = (np.arange(1 << 16, dtype=np.float64) * (255 / (white or 65535)) + 0.5).clip(0, 255).astype(np.uint8)
    levels = table[picture]
    return cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB if levels.ndim == 2 else cv2.COLOR_BGR2RGB)


def _orient(picture: Any, header: Header, pictures: Pictures) -> Any:
    """Turn decoded pixels as EXIF says, or leave them as they are stored, as the settings say."""
    if header.kind == "TIFF":  # OpenCV has turned it already
        inverse = _INVERSE_ORIENTATIONS.get(header.orientation, header.orientation)
        return picture if pictures.upright else _make_upright(picture, inverse)
    return _make_upright(picture, header.orientation) if pictures.upright else picture


def _make_upright(picture: Any, orientation: int) -> Any:
    """Turn pixels that are stored in one of EXIF's orientations, 1 to 8."""
    if orientation in _MIRRORED:
        picture = cv2.flip(picture, 1)
    if orientation in _ROTATIONS:
        picture = cv2.rotate(picture, _ROTATIONS[orientation])
    return picture

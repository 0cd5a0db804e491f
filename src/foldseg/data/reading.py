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
from foldseg.data.channels import apply_by_channels, as_grey
from foldseg.data.headers import Header, read_header
from foldseg.data.image_decoding import decode_image, decode_with_opencv
from foldseg.data.labels import Image
from foldseg.data.number_files import decode_npy
from foldseg.data.orientation import make_upright, turn_back
from foldseg.errors import FoldsegError
from foldseg.inputs import check_is_file, read_bytes

# OpenCV's log lines do not name the file; the errors of this module do
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

AS_SHOWN = Pictures()
"""The settings for pictures that belong to no data set: they are read as a viewer shows them."""

_SHRINKS = (8, 4, 2)


def read_image(path: Path, pictures: Pictures = AS_SHOWN) -> Image:
    """Read an image as (H, W, pictures.channels) uint8, upright unless `pictures` says otherwise.

    Three channels are RGB. Other numbers than 8 bits become 8 bits, so that `pictures.white_level` or the upper end of
    `pictures.value_range` becomes 255. Grey becomes three equal channels. Transparency is ignored. FoldsegError if the
    file is missing, damaged or cannot be read in one way only.
    """
    content, header = read_picture(path)
    with name_errors(path, header, pictures.channels):
        picture = decode_image(path, content, header, pictures)
        return apply_by_channels(lambda part: orient(part, header, pictures), picture)


def read_small_grey(path: Path, width: int, pictures: Pictures = AS_SHOWN) -> NDArray[np.uint8]:
    """Read a picture upright as grey (H, W) uint8: its luminance, or the mean of its channels.

    A JPEG may be read at 1/2, 1/4 or 1/8 of its size, at least `width` pixels wide. At 1/8 a JPEG of 1936x1216 takes
    half of the time that it takes in colours and in full size.
    """
    content, header = read_picture(path)
    if header.kind != "JPEG":
        return as_grey(read_image(path, pictures.model_copy(update={"orientation": "upright"})))
    most = header.size(upright=True)[1] // width
    shrink = next((factor for factor in _SHRINKS if factor <= most), 1)
    with name_errors(path, header, 1):
        picture = jpegs.decode_grey(path, content, header, shrink)
        if picture is None:
            raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        picture = picture.reshape(picture.shape[:2])
        return np.asarray(orient(picture, header, AS_SHOWN), np.uint8)


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


def check_pixels(path: Path, pictures: Pictures = AS_SHOWN, is_mask: bool = False) -> Header:
    """Check that a picture's pixels are undamaged, and return its header. FoldsegError otherwise.

    An 8-bit PNG has check sums, so it is not decoded. A JPEG is decoded at an eighth of its size. What an image's
    numbers mean must be known; what a mask's ids mean is not checked.
    """
    content, header = read_picture(path)
    with name_errors(path, header, 1):
        if header.kind == "JPEG" and header.channels != 4 and pictures.channels in (1, 3):
            if jpegs.decode_grey(path, content, header, _SHRINKS[0]) is None:
                raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        elif header.kind == "PNG" and header.bits <= 8 and (is_mask or pictures.channels == 3):
            pass
        elif is_mask and header.kind == "NPY":
            decode_npy(path, content)
        elif is_mask:
            if decode_with_opencv(content, cv2.IMREAD_UNCHANGED) is None:
                raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
        else:
            read_image(path, pictures)
    return header


def read_picture(path: Path) -> tuple[bytes, Header]:
    """Return the content of a picture file and its header, with the check sums of a PNG verified."""
    content = read_bytes(path)
    return content, read_header(path, io.BytesIO(content), check_sums=True)


@contextmanager
def name_errors(path: Path, header: Header, channels: int) -> Iterator[None]:
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


def orient(picture: Any, header: Header, pictures: Pictures) -> Any:
    """Turn decoded pixels as EXIF says, or leave them as they are stored, as the settings say."""
    if header.kind == "TIFF":  # OpenCV has turned it already
        return picture if pictures.upright else turn_back(picture, header.orientation)
    return make_upright(picture, header.orientation) if pictures.upright else picture

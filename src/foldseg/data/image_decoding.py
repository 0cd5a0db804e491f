"""Turns the content of an image file into (H, W, channels) uint8, in the channels that the settings ask for.

8 bits are taken as they are. Of all other numbers, `data.pictures.value_range` or `white_level` says which of them are
black and white.
"""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.data import jpegs
from foldseg.data.channels import as_grey
from foldseg.data.headers import Header
from foldseg.data.labels import Image
from foldseg.data.number_files import decode_dicom, decode_npy
from foldseg.data.orientation import make_upright
from foldseg.errors import FoldsegError
from foldseg.notices import say_once

_NEARLY_BLACK = 1 << 14
"""A 16-bit image without a larger value is 12 or 14 bits deep, or very dark."""
_MOST_OUTSIDE = 0.01
"""Share of an image's numbers that may lie outside of `value_range`. They become black or white."""


def decode_image(path: Path, content: bytes, header: Header, pictures: Pictures) -> Image:
    """Decode an image as it is stored, not turned: (H, W, pictures.channels) uint8. Three channels are RGB.

    FoldsegError if the file is damaged, has other channels, or if nothing says what its numbers mean.
    """
    if header.kind == "JPEG" and (pictures.channels == 3 or header.channels == 4):
        picture = jpegs.decode_rgb(path, content, header)
    elif header.kind == "JPEG":
        picture = _decode_jpeg_channels(path, content, header, pictures)
    elif header.kind in ("NPY", "DICOM"):
        picture = _decode_numbers(path, content, header, pictures)
    elif pictures.channels == 3 and header.bits in range(1, 9) and header.channels <= 4:
        picture = decode_with_opencv(content, cv2.IMREAD_COLOR_RGB)
    else:
        picture = _decode_any_channels(path, content, header)
        picture = None if picture is None else scale_to_bytes(path, picture, pictures)
    if picture is None:
        raise FoldsegError(f"{path}: is damaged: it cannot be decoded")
    return match_channels(path, np.atleast_3d(picture), pictures.channels)


def decode_with_opencv(content: bytes, flags: int) -> Any:
    """Decode a picture with OpenCV, as it is stored. None if that fails."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode_jpeg_channels(path: Path, content: bytes, header: Header, pictures: Pictures) -> Any:
    """Decode a JPEG in other channels than three."""
    if pictures.channels == 1:
        if header.channels == 3:
            _say_grey()
        return jpegs.decode_grey(path, content, header)
    decoded = jpegs.decode_rgb(path, content, header)
    return decoded if decoded is None or header.channels == 3 else decoded[..., :1]


def _decode_numbers(path: Path, content: bytes, header: Header, pictures: Pictures) -> Any:
    """Decode a file of numbers, NPY or DICOM."""
    if header.kind == "DICOM":
        numbers, is_inverted = decode_dicom(path, content, pictures)
        levels = scale_to_bytes(path, numbers, pictures, of_numbers=True)
        return 255 - levels if is_inverted else levels
    return scale_to_bytes(path, decode_npy(path, content), pictures, of_numbers=True)


def _decode_any_channels(path: Path, content: bytes, header: Header) -> Any:
    """Decode a picture with the channels and the numbers that it has: (H, W, C), colours as RGB. None if that fails."""
    if header.kind == "TIFF" and not header.paletted and header.channels not in (1, 3, 4):
        return _decode_with_tifffile(path, content, header)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:  # OpenCV does not read all types of numbers
        is_unusual = header.kind == "TIFF" and (header.bits > 16 or header.numbers != "unsigned")
        return _decode_with_tifffile(path, content, header) if is_unusual else None
    picture = np.atleast_3d(picture)
    if header.kind == "TIFF" and not header.paletted and picture.shape[2] != header.channels:
        # Of channels that are stored one after the other, OpenCV may read the first alone
        return _decode_with_tifffile(path, content, header)
    if picture.shape[2] >= 3:
        picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
    if header.channels == 2 and picture.shape[2] == 4:  # OpenCV makes three equal channels of a grey one with alpha
        picture = picture[..., [0, 3]]
    return picture


def _decode_with_tifffile(path: Path, content: bytes, header: Header) -> NDArray[Any]:
    """Decode a TIFF of channels or numbers that OpenCV does not read, upright as OpenCV does: (H, W, C)."""
    try:
        import tifffile
    except ImportError as error:
        raise FoldsegError(
            f"{path}: has {header.channels} channel(s) of {header.bits} bits, which need tifffile, and it is not "
            "installed: pip install 'foldseg[tiff]'"
        ) from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages[0]
            picture, axes = page.asarray(), page.axes
    except Exception as error:  # tifffile raises many kinds of errors on damaged files, and of missing codecs
        raise FoldsegError(f"{path}: cannot be decoded: {error}") from error
    planes = [picture] if picture.ndim == 2 else np.moveaxis(picture, 0 if axes.startswith("S") else 2, 0)
    return np.stack([make_upright(np.ascontiguousarray(plane), header.orientation) for plane in planes], axis=2)


def scale_to_bytes(
    path: Path, numbers: NDArray[Any], pictures: Pictures, *, of_numbers: bool = False
) -> NDArray[np.uint8]:
    """Return numbers (H, W, C) of any type as uint8, as `value_range` or `white_level` says.

    8-bit numbers are not changed, unless the file is one `of_numbers` and there is a `value_range`. FoldsegError if
    nothing says what the numbers mean, or if many lie outside of the range.
    """
    if numbers.dtype == np.uint8 and (pictures.value_range is None or not of_numbers):
        return np.asarray(numbers, np.uint8)
    if pictures.value_range is not None:
        return _scale_by_range(path, numbers, pictures)
    if numbers.dtype == np.bool_:
        return np.asarray(numbers, np.uint8) * 255
    if numbers.dtype == np.uint16:
        return _scale_by_white_level(path, numbers, pictures)
    raise FoldsegError(
        f"{path}: holds {describe_numbers(numbers)}, and nothing says which of them is black and which is white; "
        "give data.pictures.value_range=[LOW, HIGH], or convert it to 8 or 16 bits (unsigned integers)"
    )


def describe_numbers(numbers: NDArray[Any]) -> str:
    """Say of which type numbers are, and between which values they lie."""
    if numbers.dtype.kind not in "biuf":
        return f"numbers of the type {numbers.dtype}"
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    if not finite.size:
        return f"numbers of the type {numbers.dtype}, none of which is finite"
    return f"numbers of the type {numbers.dtype} from {finite.min():g} to {finite.max():g}"


def _scale_by_range(path: Path, numbers: NDArray[Any], pictures: Pictures) -> NDArray[np.uint8]:
    """Map [low, high] to 0..255, for all channels or for each one."""
    if numbers.dtype.kind not in "biuf":
        raise FoldsegError(f"{path}: holds {describe_numbers(numbers)}; expected whole numbers or floats")
    ranges = np.asarray(pictures.ranges, np.float32)
    if len(ranges) not in (1, numbers.shape[2]):
        raise FoldsegError(
            f"{path}: has {numbers.shape[2]} channel(s), and data.pictures.value_range has {len(ranges)} ranges"
        )
    low, high = ranges.T
    values = numbers.astype(np.float32)
    outside = float(np.mean(~((values >= low) & (values <= high))))
    if outside > _MOST_OUTSIDE:
        raise FoldsegError(
            f"{path}: holds {describe_numbers(numbers)}; {outside:.0%} of them lie outside of "
            f"data.pictures.value_range={[list(pair) for pair in pictures.ranges]}"
        )
    levels = (values - low) * (np.float32(255) / (high - low)) + np.float32(0.5)
    return np.nan_to_num(levels, nan=0.0).clip(0, 255).astype(np.uint8)


def _scale_by_white_level(path: Path, numbers: NDArray[Any], pictures: Pictures) -> NDArray[np.uint8]:
    largest, white = int(numbers.max()), pictures.white_level
    if white is None and largest < _NEARLY_BLACK:
        raise FoldsegError(
            f"{path}: is a 16-bit picture without a value above {largest}, so nearly black; if white has another value "
            "in it than 65535, such as 4095 (12 bits), say so: data.pictures.white_level=4095 (predict_images: "
            "--white-level 4095); if it is that dark, 65535"
        )
    if white is not None and largest > white:
        raise FoldsegError(f"{path}: holds the value {largest}; white is {white} (data.pictures.white_level)")
    table = (np.arange(1 << 16, dtype=np.float64) * (255 / (white or 65535)) + 0.5).clip(0, 255).astype(np.uint8)
    return table[numbers]


def match_channels(path: Path, picture: Image, channels: int) -> Image:
    """Return a picture (H, W, C) in the number of channels that is asked for. FoldsegError if it has others.

    Grey becomes three equal channels, colours become one grey channel. Transparency, a second or fourth channel that is
    not asked for, is left out.
    """
    present = picture.shape[2]
    if present != channels and (present, channels) in ((2, 1), (4, 1), (2, 3), (4, 3)):
        picture, present = picture[..., : present - 1], present - 1
    if present == channels:
        return np.ascontiguousarray(picture)
    if (present, channels) == (1, 3):
        return np.repeat(picture, 3, axis=2)
    if (present, channels) == (3, 1):
        if not (picture == picture[..., :1]).all():
            _say_grey()
            return as_grey(picture)[..., None]
        return np.ascontiguousarray(picture[..., :1])
    raise FoldsegError(f"{path}: has {present} channel(s); expected {channels} (data.pictures.channels)")


def _say_grey() -> None:
    say_once("images with colours become grey, since data.pictures.channels is 1", kind="colours become grey")

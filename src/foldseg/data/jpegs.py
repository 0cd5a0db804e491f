"""Decoding JPEGs so that damage in their middle is an error.

libjpeg fills damaged parts with grey, and only warns. OpenCV, Pillow and torchvision drop its warnings, or print them
without the file's name. simplejpeg raises them. It calls the same libjpeg-turbo and returns the same pixels.
"""

import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.headers import Header
from foldseg.errors import FoldsegError

try:
    import simplejpeg
except ImportError:  # e.g. on a machine without internet
    simplejpeg = None

logger = logging.getLogger(__name__)

_DAMAGE = re.compile(
    "premature end|Premature end|bad Huffman code|bad arithmetic code|instead of RST|Inconsistent progression"
    "|Unsupported marker type|Invalid JPEG file structure|Bogus|not defined|Invalid progressive|Invalid component"
)
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
_STANDARD_TABLE = bytes.fromhex("0002010303020403050504040000017d")  # ITU T.81, table K.5: codes of each length
_ZEROES = 128
"""So many bytes of zeros among the pixels are damage."""
_AFTER_PIXELS = ("c4", "d9", "da")
"""Markers that follow pixels: tables of the next scan, the end, a scan."""
_PADDING = 8
"""Encoders leave up to so many bytes behind the last pixel. More of them are pixels that were not decoded."""
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}


def decode_rgb(path: Path, content: bytes, header: Header) -> NDArray[np.uint8] | None:
    """Decode a JPEG as it is stored: (H, W, 3) uint8 RGB, or None if that fails. FoldsegError if it is damaged."""
    return _decode(path, content, header, "RGB", cv2.IMREAD_COLOR_RGB)


def decode_grey(path: Path, content: bytes, header: Header, shrink: int = 1) -> NDArray[np.uint8] | None:
    """Decode a JPEG as grey, 1, 2, 4 or 8 times smaller: (h, w) or (h, w, 1) uint8. Otherwise like `decode_rgb`.

    Smaller is faster: at an eighth, a JPEG of 1936x1216 takes half of the time that it takes in colours and in full.
    """
    smallest = {}
    if shrink > 1:
        smallest = {"min_height": -(-header.height // shrink), "min_width": -(-header.width // shrink)}
    return _decode(path, content, header, "GRAY", _REDUCED.get(shrink, cv2.IMREAD_GRAYSCALE), **smallest)


def _decode(
    path: Path, content: bytes, header: Header, colours: str, flags: int, **smallest: int
) -> NDArray[np.uint8] | None:
    """Decode with simplejpeg, or with OpenCV if simplejpeg is not installed or cannot read this kind of JPEG.

    `colours`: simplejpeg's name of the colour space; `flags`: the same for OpenCV; `smallest`: simplejpeg's
    `min_height` and `min_width`.
    """
    if _has_zeroed_hole(content, header.scan):
        raise FoldsegError(f"{path}: is damaged: {_ZEROES} and more bytes of its pixels are zero; copy it again")
    if simplejpeg is None:
        _warn_that_damage_is_not_noticed()
        return _decode_with_opencv(content, flags)
    try:
        return simplejpeg.decode_jpeg(content, colours, **smallest)
    except ValueError as error:
        _check_warning(path, str(error))
    try:
        return simplejpeg.decode_jpeg(content, colours, **smallest, strict=False)
    except ValueError:  # TurboJPEG's interface cannot read every kind of JPEG
        return _decode_with_opencv(content, flags)


def _has_zeroed_hole(content: bytes, scan: int | None) -> bool:
    """Return whether zeros have overwritten a part of the pixels, as happens on a broken disk or in a download.

    `scan`: the byte at which the pixels begin. Decoders do not notice such damage: by the standard's tables, zeros are
    blocks in which all 63 coefficients are -1.
    """
    if scan is None or content.find(_STANDARD_TABLE, 0, scan) < 0:
        return False
    hole = content.find(bytes(_ZEROES), scan)
    return hole >= 0 and content.find(b"\xff\xd9", scan, hole) < 0


def _check_warning(path: Path, warning: str) -> None:
    """Raise FoldsegError if a warning of libjpeg means that pixels are wrong."""
    left_over = _LEFT_OVER.search(warning)
    if left_over and int(left_over[1]) > _PADDING and left_over[2] in _AFTER_PIXELS:
        raise FoldsegError(
            f"{path}: is damaged: {left_over[1]} bytes are left over behind its last pixel; copy or download it again, "
            "or, if it looks whole, save it again"
        )
    if _DAMAGE.search(warning):
        raise FoldsegError(f"{path}: is damaged: some of its pixels are lost ({warning}); copy or download it again")


def _decode_with_opencv(content: bytes, flags: int) -> Any:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


@cache
def _warn_that_damage_is_not_noticed() -> None:
    logger.warning(
        "simplejpeg is not installed: damage in the middle of a JPEG is not noticed (pip install simplejpeg)"
    )

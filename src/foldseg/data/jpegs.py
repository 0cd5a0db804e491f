"""Decoding JPEGs, so that damage in their middle is an error: libjpeg fills holes with grey, and only warns.

OpenCV, Pillow and torchvision drop libjpeg's warnings or print them without a name. simplejpeg, which calls the same
libjpeg-turbo and gives the same pixels, raises them.
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
except ImportError:  # a machine without internet, say
    simplejpeg = None

logger = logging.getLogger(__name__)

_DAMAGE = re.compile(
    "premature end|Premature end|bad Huffman code|bad arithmetic code|instead of RST|Inconsistent progression"
    "|Unsupported marker type|Invalid JPEG file structure|Bogus|not defined|Invalid progressive|Invalid component"
)
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
_STANDARD_TABLE = bytes.fromhex("0002010303020403050504040000017d")  # ITU T.81, table K.5: codes of each length
_ZEROES = 128
_AMONG_PIXELS = ("c4", "d9", "da")  # markers that follow pixels: tables of the next scan, a scan, the end
_PADDING = 8  # bytes that encoders leave behind the last pixel; more of them are pixels that were not decoded
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}


def decode_rgb(path: Path, content: bytes, header: Header) -> NDArray[np.uint8] | None:
    """Decode as stored: (H, W, 3) uint8 RGB; None where that fails. FoldsegError, with `path`, for a damaged file."""
    return _decode(path, content, header, "RGB", cv2.IMREAD_COLOR_RGB)


def decode_grey(path: Path, content: bytes, header: Header, shrink: int = 1) -> NDArray[np.uint8] | None:
    """Decode 8, 4, 2 or 1 times smaller: (h, w) uint8 grey or (h, w, 1); else like `decode_rgb`.

    Smaller is faster: at an eighth, one of 1936x1216 takes half of the time that it takes in colours and in full.
    """
    least = {"min_height": -(-header.height // shrink), "min_width": -(-header.width // shrink)} if shrink > 1 else {}
    return _decode(path, content, header, "GRAY", _REDUCED.get(shrink, cv2.IMREAD_GRAYSCALE), **least)


def _decode(
    path: Path, content: bytes, header: Header, colours: str, flags: int, **least: int
) -> NDArray[np.uint8] | None:
    if _has_zeroed_hole(content, header.scan):
        raise FoldsegError(f"{path}: is damaged: {_ZEROES} and more bytes of its pixels are zero; copy it again")
    if simplejpeg is None:
        _say_that_damage_is_not_seen()
        return _opencv(content, flags)
    try:
        return simplejpeg.decode_jpeg(content, colours, **least)
    except ValueError as error:
        _check(path, str(error))
    try:
        return simplejpeg.decode_jpeg(content, colours, **least, strict=False)
    except ValueError:  # a kind that TurboJPEG's interface lacks
        return _opencv(content, flags)


def _has_zeroed_hole(content: bytes, scan: int | None) -> bool:
    """Whether a part of the pixels was overwritten by zeros, as a broken disk or download does.

    By the standard's tables zeros are blocks in which all 63 coefficients are -1, so that decoders see no damage.
    """
    if scan is None or content.find(_STANDARD_TABLE, 0, scan) < 0:
        return False
    hole = content.find(bytes(_ZEROES), scan)
    return hole >= 0 and content.find(b"\xff\xd9", scan, hole) < 0


def _check(path: Path, warning: str) -> None:
    """FoldsegError when a warning of libjpeg means that pixels are wrong."""
    left_over = _LEFT_OVER.search(warning)
    if left_over and int(left_over[1]) > _PADDING and left_over[2] in _AMONG_PIXELS:
        raise FoldsegError(
            f"{path}: is damaged: {left_over[1]} bytes are left over behind its last pixel; copy or download it again, "
            "or, if it looks whole, save it again"
        )
    if _DAMAGE.search(warning):
        raise FoldsegError(f"{path}: is damaged: some of its pixels are lost ({warning}); copy or download it again")


def _opencv(content: bytes, flags: int) -> Any:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


@cache
def _say_that_damage_is_not_seen() -> None:
    logger.warning(
        "simplejpeg is not installed: damage in the middle of a JPEG is not noticed (pip install simplejpeg)"
    )

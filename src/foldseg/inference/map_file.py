"""The file of one image's probability maps, <id>.prob: a small header, then the content, compressed with zstd.

The content is either quantised planes, (classes, H, W) uint8 = round(255 p), or logits (classes, h, w) float16. Rows of
planes are kept as differences from the rows above them, which compress better. Measured in benchmarks/inference.md.

numpy only: the processes that blend read these files, and they have no torch.
"""

import json
import math
import struct
from typing import Any

import cv2
import numpy as np
import zstandard
from numpy.typing import NDArray

from foldseg.inference.enlargement import Enlargement, planes_of_logits

Quantised = NDArray[np.uint8]
"""(classes, H, W) uint8: round(255 p)."""

DAMAGE = (ValueError, KeyError, TypeError, RecursionError, struct.error, zstandard.ZstdError)
"""What `decode_planes` raises for a damaged file."""

_PLANES, _DIFFERENCES, _LOGITS = b"FSP1", b"FSP2", b"FSL1"  # the first bytes of a file; the oldest stores have FSP1
_LEVEL = 3  # of zstd: higher levels save little on maps that are mostly 0 and 255
_ROWS = 64  # in a block: its first row is kept as it is, the others as differences from the row above


def encode_planes(planes: Quantised) -> bytes:
    """Return the content of a file that holds quantised planes."""
    classes, height, width = planes.shape
    header = {"classes": classes, "height": height, "width": width}
    return _compress(_DIFFERENCES, header, _rows_to_differences(planes))


def encode_logits(logits: NDArray[np.float16], enlargement: Enlargement) -> bytes:
    """Return the content of a file that holds logits (classes, h, w), and how the network's head enlarges them."""
    header = {
        "logits": logits.shape,
        "padded": enlargement.padded,
        "size": enlargement.size,
        "align_corners": enlargement.align_corners,
        "overlapping": enlargement.overlapping,
    }
    # First all low bytes, then all high ones: that compresses better
    halves = np.ascontiguousarray(logits).view(np.uint8).reshape(-1, 2)
    return _compress(_LOGITS, header, np.ascontiguousarray(halves.T))


def decode_planes(content: bytes) -> Quantised:
    """Return the quantised planes that a file's content means. One of DAMAGE if it is damaged."""
    start = 8 + struct.unpack("<I", content[4:8])[0]
    header, body = json.loads(content[8:start]), content[start:]
    return _DECODERS[content[:4]](header, body)


def _compress(magic: bytes, header: dict[str, Any], content: Quantised) -> bytes:
    header_bytes = json.dumps(header).encode()
    body = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content.data)
    return magic + struct.pack("<I", len(header_bytes)) + header_bytes + body


def _decompress(body: bytes, shape: tuple[int, ...]) -> Quantised:
    """Return an array of this shape. ValueError unless the body holds exactly its bytes; no more are decompressed."""
    size = math.prod(shape)
    if min(shape) < 1 or zstandard.frame_content_size(body) != size:
        raise ValueError(f"its planes of {'x'.join(map(str, shape))} do not fit what is compressed")
    content = zstandard.ZstdDecompressor().decompress(body)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _rows_to_differences(planes: Quantised) -> Quantised:
    """Subtract from each row the one above it, modulo 256. The first row of each block stays."""
    differences = np.array(planes, order="C")
    for step in range(1, _ROWS):
        rows = differences[:, step::_ROWS]
        rows -= planes[:, step - 1 :: _ROWS][:, : rows.shape[1]]
    return differences


def _differences_to_rows(differences: Quantised) -> Quantised:
    """Undo `_rows_to_differences`."""
    planes = differences.copy()
    for step in range(1, _ROWS):
        rows = planes[:, step::_ROWS]
        rows += planes[:, step - 1 :: _ROWS][:, : rows.shape[1]]
    return planes


def _decode_planes(header: dict[str, Any], body: bytes) -> Quantised:
    return _decompress(body, (int(header["classes"]), int(header["height"]), int(header["width"])))


def _decode_differences(header: dict[str, Any], body: bytes) -> Quantised:
    return _differences_to_rows(_decode_planes(header, body))


def _decode_logits(header: dict[str, Any], body: bytes) -> Quantised:
    classes, height, width = header["logits"]
    halves = _decompress(body, (2, classes * height * width))
    logits = np.ascontiguousarray(halves.T).view(np.float16).reshape(classes, height, width)
    overlapping = bool(header.get("overlapping", False))  # older files lack it
    size, align_corners = tuple(header["size"]), bool(header["align_corners"])
    enlargement = Enlargement(tuple(header["padded"]), size, align_corners, overlapping)
    return planes_of_logits(logits, enlargement)


_DECODERS = {_PLANES: _decode_planes, _DIFFERENCES: _decode_differences, _LOGITS: _decode_logits}
"""First bytes of a file -> a function of its header and its compressed body to planes."""


def quantise_array(probabilities: NDArray[np.float32]) -> Quantised:
    """Return round(255 p) uint8 of probabilities (classes, H, W). Its `argmax` is theirs at every pixel.

    Rounding makes classes equal that were not. Where another of the equal ones would come first, the most probable
    class gets one more.
    """
    planes = np.empty(probabilities.shape, np.uint8)
    for plane, out in zip(probabilities, planes, strict=True):
        cv2.convertScaleAbs(plane, out, 255.0)
    leaders = np.add.reduce((planes == planes.max(0)).view(np.uint8), axis=0, dtype=np.uint8)
    rows, columns = np.nonzero(leaders > 1)
    most_probable = probabilities[:, rows, columns].argmax(0)
    planes[most_probable, rows, columns] += planes[:, rows, columns].argmax(0) != most_probable
    return planes

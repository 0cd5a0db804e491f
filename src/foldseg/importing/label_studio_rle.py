"""Label Studio's run-length encoding of brush strokes: a stream of bits, the high bit of each byte first.

    32 bits       number of values
    5 bits        bits of a value, minus 1 (8 bits: 7)
    4 x 4 bits    four sizes, minus 1
    blocks        1 bit: is it a run?  2 bits: which size?  so many bits: length minus 1
                  then one value if it is a run, or else as many values as the length

Values are those of an image of four channels, row by row. Pixels with alpha above 0 are painted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.importing.shapes import Pixels, Size

_VALUE_BITS = 8
_CHANNELS = 4
_CUT = "is cut: its bits end before its last value"


def decode_brush(values: Sequence[Any], size: Size) -> Pixels:
    """Return the painted pixels (H, W) bool of a stream, given as bytes. ValueError if it is damaged."""
    try:
        stream = bytes(list(values))
    except (TypeError, ValueError):
        raise ValueError("holds something else than bytes, 0 to 255") from None
    reader = _Bits(stream)
    count = reader.read(32)
    if count != size[0] * size[1] * _CHANNELS:
        raise ValueError(
            f"has {count} values; the picture of {size[0]}x{size[1]} (height x width) has "
            f"{size[0] * size[1] * _CHANNELS}"
        )
    if reader.read(5) + 1 != _VALUE_BITS:
        raise ValueError(f"has values of another length than {_VALUE_BITS} bits")
    sizes = [reader.read(4) + 1 for _ in range(4)]
    flat, place = np.empty(count, np.uint8), 0
    while place < count:
        is_run = reader.read(1)
        length = reader.read(sizes[reader.read(2)]) + 1
        if place + length > count:
            raise ValueError(f"has more than its {count} values")
        flat[place : place + length] = reader.read(_VALUE_BITS) if is_run else reader.read_bytes(length)
        place += length
    return flat[_CHANNELS - 1 :: _CHANNELS].reshape(size) > 0


class _Bits:
    """A stream of bits that is read from the front."""

    def __init__(self, stream: bytes) -> None:
        self._stream, self._place = stream, 0

    def read(self, bits: int) -> int:
        """Return a number of at most 32 bits."""
        start, end = self._place, self._place + bits
        if end > 8 * len(self._stream):
            raise ValueError(_CUT)
        self._place = end
        last = -(-end // 8)
        number = int.from_bytes(self._stream[start // 8 : last])
        return number >> (8 * last - end) & ((1 << bits) - 1)

    def read_bytes(self, count: int) -> NDArray[np.uint8]:
        """Return numbers of 8 bits, which need not begin at a byte."""
        start, end = self._place, self._place + 8 * count
        if end > 8 * len(self._stream):
            raise ValueError(_CUT)
        self._place = end
        part = np.frombuffer(self._stream[start // 8 : -(-end // 8)], np.uint8)
        bits = np.unpackbits(part)[start % 8 : start % 8 + 8 * count]
        return np.packbits(bits)

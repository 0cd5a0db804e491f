"""Masks as run-length strings, as the CSV files of contests and COCO's JSON files hold them.

A string lists the segments of a mask in a picture that is read as one line of pixels, column after column or row after
row. In between, segments are an int64 array (n, 2): the first pixel of each, counted from 0, and its length.
"""

import re
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from foldseg.data.rle_segments import Segments, Size, check_segments, describe_size, draw_segments, segments_of_mask

_BITS, _SIGN, _MORE, _FIRST_CHARACTER = 5, 0x10, 0x20, 48
_MAX_GROUPS = 13
"""Groups of five bits that a 64-bit number takes, at most."""
_NUMBER = re.compile(r"-?[0-9]+")
_DIGITS, _BLANK = 10, 32
"""Number of digits, which follow each other in ASCII, and the code of a blank."""


EMPTY_TEXTS = ("", "-1", "-")
"""What contests write for a mask without pixels. Blanks around it do not count."""


@dataclass(frozen=True)
class RleDialect:
    """How a contest writes `start length start length ...`.

    Mask rows `0110 / 0100 / 1101` are `3 5 12 1` by default, `2 2 6 1 9 2 12 1` with `rows_first`, and `2 5 4 1` with
    `relative` and base 0.
    """

    rows_first: bool = False
    """Whether pixels are counted along the rows. Otherwise they are counted down the columns."""
    base: int = 1
    """The number of the first pixel."""
    relative: bool = False
    """Whether a start is the distance from the end of the segment before. The first one is counted from the base."""

    def __str__(self) -> str:
        """Return the dialect in words: `down the columns, from 1`."""
        direction = "along the rows" if self.rows_first else "down the columns"
        return f"{direction}, from {self.base}{', relative' if self.relative else ''}"


def is_empty_text(text: str) -> bool:
    """Whether a cell stands for a mask without pixels: nothing, `-1` or `-`."""
    return text.strip() in EMPTY_TEXTS


def encode_text(mask: NDArray[np.bool_], dialect: RleDialect = RleDialect()) -> str:
    """Return the run-length string of the True pixels of a mask (H, W) bool. An empty mask is an empty string."""
    segments = segments_of_mask(mask, dialect.rows_first)
    if dialect.relative:
        ends = segments.sum(1)
        segments[1:, 0] -= ends[:-1]
        segments[:1, 0] += dialect.base
    else:
        segments[:, 0] += dialect.base
    return _join_numbers(segments.ravel())


def decode_text(text: str, size: Size, dialect: RleDialect = RleDialect()) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of a run-length string: the inverse of `encode_text`.

    `size` is (height, width). ValueError if the string is not pairs of integers. ValueError also if its segments
    overlap, are out of order or leave the picture: then another dialect may be the right one.
    """
    return draw_segments(parse_text(text, size, dialect), size, dialect.rows_first)


def parse_text(text: str, size: Size, dialect: RleDialect = RleDialect()) -> Segments:
    """Return the segments of a run-length string without drawing them. Errors are those of `decode_text`."""
    numbers = _parse_numbers(text)
    if len(numbers) % 2:
        raise ValueError(f"has {len(numbers)} numbers, not pairs of start and length: {_shortened(text)}")
    largest = size[0] * size[1] + dialect.base
    if len(numbers) and numbers.max() > largest:
        raise ValueError(f"has the number {numbers.max()}; {describe_size(size)}")
    segments = numbers.reshape(-1, 2)
    if dialect.relative:
        _check_gaps(segments, dialect.base)
        segments[1:, 0] += segments[:-1, 1]
        segments[:, 0] = segments[:, 0].cumsum()
    segments[:, 0] -= dialect.base
    check_segments(segments, size, dialect.base)
    return segments


def _parse_numbers(text: str) -> NDArray[np.int64]:
    """Return the integers of a string. ValueError names what is no integer."""
    if not text.strip():
        return np.empty(0, np.int64)
    characters = np.frombuffer(text.encode(), np.uint8)
    if ((characters - _FIRST_CHARACTER < _DIGITS) | (characters == _BLANK)).all():
        return np.fromstring(text, np.int64, sep=" ")  # seven times as fast as int(); it does not check its text
    words = text.split()
    wrong = next((word for word in words if not _NUMBER.fullmatch(word)), None)
    if wrong is not None:
        raise ValueError(f"has {_shortened(wrong)!r} where an integer is expected: {_shortened(text)}")
    try:
        return np.array(list(map(int, words)), np.int64)
    except OverflowError:
        longest = max(words, key=len)
        raise ValueError(f"has the number {_shortened(longest)}, which no picture has: {_shortened(text)}") from None


def _check_gaps(segments: Segments, base: int) -> None:
    """Raise ValueError if a start of a relative string is a distance below 0."""
    wrong = np.flatnonzero(segments[1:, 0] < 0) + 1
    if len(wrong):
        raise ValueError(
            f"has the distance {segments[wrong[0], 0]} before segment {wrong[0] + 1}; distances are not negative"
        )


def encode_coco_counts(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO's uncompressed `counts` of a mask (H, W) bool: lengths of 0s, 1s, 0s, ..., down the columns."""
    return _counts_of_segments(segments_of_mask(mask), mask.size).tolist()


def decode_coco_counts(counts: list[int], size: Size, rows_first: bool = False) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of COCO's uncompressed `counts`. ValueError if they do not fill the picture.

    `rows_first` is for tools that write the same lengths along the rows, as CVAT does inside of a box.
    """
    return draw_segments(_segments_of_counts(np.array(counts, np.int64), size), size, rows_first)


def encode_coco_text(mask: NDArray[np.bool_]) -> str:
    """Return COCO's compressed `counts` of a mask (H, W) bool (cocoapi, common/maskApi.c: rleToString).

    From the fourth on, each length is written as its difference from the length two before. A number is written in
    groups of five bits, the low ones first.
    """
    rest = _counts_of_segments(segments_of_mask(mask), mask.size)
    rest[3:] -= rest[1:-2].copy()
    # The last group of a number ends in its sign, so 5 k bits hold numbers from -2^(5 k - 1) to 2^(5 k - 1) - 1
    largest = int(max(rest.max(), ~rest.min()))
    columns = largest.bit_length() // _BITS + 1
    groups = np.empty((len(rest), columns), np.uint8)
    is_used = np.empty(groups.shape, bool)
    is_open = np.ones(len(rest), bool)
    for index in range(columns):
        bits = rest & 0x1F
        rest = rest >> _BITS
        is_last = rest == -(bits >> 4)  # nothing is left but the sign
        is_used[:, index] = is_open
        groups[:, index] = bits + _FIRST_CHARACTER + _MORE * ~is_last
        is_open = is_open & ~is_last
    return groups[is_used].tobytes().decode("ascii")


def decode_coco_text(text: str, size: Size) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of COCO's compressed `counts`: the inverse of `encode_coco_text`.

    ValueError if the string is cut, or does not fill the picture.
    """
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8) - np.uint8(_FIRST_CHARACTER)
    except UnicodeEncodeError:
        raise ValueError(f"is no compressed RLE: {_shortened(text)}") from None
    ends = np.flatnonzero((groups & _MORE) == 0)
    if len(groups) == 0 or groups.max() > 0x3F or not len(ends) or ends[-1] != len(groups) - 1:
        raise ValueError(f"is no compressed RLE, or is cut: {_shortened(text)}")
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _MAX_GROUPS:
        raise ValueError(f"is no compressed RLE: {_shortened(text)}")
    numbers = (groups[ends] & 0x1F).astype(np.int64)
    numbers -= (numbers & _SIGN) << 1
    for index in range(1, int(lengths.max())):  # from the last group of a number to its first one
        longer = np.flatnonzero(lengths > index)
        numbers[longer] = (numbers[longer] << _BITS) | (groups[ends[longer] - index] & 0x1F)
    for first in (1, 2):  # from the fourth number on, each is a difference from the number two before
        numbers[first::2] = numbers[first::2].cumsum()
    return draw_segments(_segments_of_counts(numbers, size), size, rows_first=False)


def _join_numbers(numbers: NDArray[np.int64]) -> str:
    """Return numbers as text, with a blank between two."""
    text = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)  # ten times as fast as str()
    return text[1:-1].replace(b",", b" ").decode()


def _counts_of_segments(segments: Segments, pixels: int) -> NDArray[np.int64]:
    """Return lengths of 0s, 1s, 0s, ... that fill a picture of `pixels`."""
    ends = segments.sum(1)
    counts = np.empty(2 * len(segments) + 1, np.int64)
    counts[0::2] = np.concatenate([segments[:, 0], [pixels]]) - np.concatenate([[0], ends])
    counts[1::2] = segments[:, 1]
    return counts[:-1] if len(segments) and counts[-1] == 0 else counts


def _segments_of_counts(counts: NDArray[np.int64], size: Size) -> Segments:
    height, width = size
    total = int(counts.sum())
    if (len(counts) and counts.min() < 0) or total != height * width:
        raise ValueError(f"has counts for {total} pixels; {describe_size(size)}")
    ends = counts.cumsum()
    ones = counts[1::2]
    segments = np.stack([ends[1::2] - ones, ones], 1)
    return segments[ones > 0]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Masks as run-length strings, as the CSV files of contests and COCO's JSON files hold them.

A string lists the segments of a mask in a picture that is read as one line of pixels, column after column or row after
row. In between, segments are an int64 array (n, 2): the first pixel of each, counted from 0, and its length.
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Segments = NDArray[np.int64]
Size = tuple[int, int]
"""Height and width."""

_BITS, _SIGN, _MORE, _FIRST_CHARACTER = 5, 0x10, 0x20, 48
_MAX_GROUPS = 13
"""Groups of five bits that a 64-bit number takes, at most."""
_NUMBER = re.compile(r"-?[0-9]+")
_NOT_NUMBERS = re.compile(r"[^0-9\s-]")


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
    return " ".join(map(str, segments.ravel().tolist()))


def decode_text(text: str, size: Size, dialect: RleDialect = RleDialect()) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of a run-length string: the inverse of `encode_text`.

    `size` is (height, width). ValueError if the string is not pairs of integers. ValueError also if its segments
    overlap, are out of order or leave the picture: then another dialect may be the right one.
    """
    return _draw(parse_text(text, size, dialect), size, dialect.rows_first)


def parse_text(text: str, size: Size, dialect: RleDialect = RleDialect()) -> Segments:
    """Return the segments of a run-length string without drawing them. Errors are those of `decode_text`."""
    numbers = _parse_numbers(text)
    if len(numbers) % 2:
        raise ValueError(f"has {len(numbers)} numbers, not pairs of start and length: {_shortened(text)}")
    largest = size[0] * size[1] + dialect.base
    if len(numbers) and numbers.max() > largest:
        raise ValueError(f"has the number {numbers.max()}; {_describe(size)}")
    segments = numbers.reshape(-1, 2)
    if dialect.relative:
        _check_gaps(segments, dialect.base)
        segments[1:, 0] += segments[:-1, 1]
        segments[:, 0] = segments[:, 0].cumsum()
    segments[:, 0] -= dialect.base
    _check_segments(segments, size, dialect.base)
    return segments


def _parse_numbers(text: str) -> NDArray[np.int64]:
    words = text.split()
    if not words:
        return np.empty(0, np.int64)
    if _NOT_NUMBERS.search(text):
        bad = next((word for word in words if not _NUMBER.fullmatch(word)), words[0])
        raise ValueError(f"has {_shortened(bad)!r} where an integer is expected: {_shortened(text)}")
    try:
        return np.array(list(map(int, words)), np.int64)
    except (ValueError, OverflowError):
        bad = next((word for word in words if not _NUMBER.fullmatch(word)), max(words, key=len))
        raise ValueError(f"has {_shortened(bad)!r} where an integer is expected: {_shortened(text)}") from None


def encode_coco_counts(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO's uncompressed `counts` of a mask (H, W) bool: lengths of 0s, 1s, 0s, ..., down the columns."""
    return _counts_of_segments(segments_of_mask(mask), mask.size).tolist()


def decode_coco_counts(counts: list[int], size: Size, rows_first: bool = False) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of COCO's uncompressed `counts`. ValueError if they do not fill the picture.

    `rows_first` is for tools that write the same lengths along the rows, as CVAT does inside of a box.
    """
    return _draw(_segments_of_counts(np.array(counts, np.int64), size), size, rows_first)


def encode_coco_text(mask: NDArray[np.bool_]) -> str:
    """Return COCO's compressed `counts` of a mask (H, W) bool (cocoapi, common/maskApi.c: rleToString).

    From the fourth on, each length is written as its difference from the length two before. A number is written in
    groups of five bits, the low ones first.
    """
    numbers = _counts_of_segments(segments_of_mask(mask), mask.size)
    numbers[3:] -= numbers[1:-2].copy()
    groups = np.empty((len(numbers), _MAX_GROUPS), np.uint8)
    is_used = np.zeros(groups.shape, bool)
    is_open = np.ones(len(numbers), bool)
    rest = numbers
    for index in range(_MAX_GROUPS):
        bits = rest & 0x1F
        rest = rest >> _BITS
        is_last = np.where(bits & _SIGN, rest == -1, rest == 0)
        is_used[:, index] = is_open
        groups[:, index] = (bits | np.where(is_last, 0, _MORE)) + _FIRST_CHARACTER
        is_open &= ~is_last
    return groups[is_used].tobytes().decode("ascii")


def decode_coco_text(text: str, size: Size) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of COCO's compressed `counts`: the inverse of `encode_coco_text`.

    ValueError if the string is cut, or does not fill the picture.
    """
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    except UnicodeEncodeError:
        raise ValueError(f"is no compressed RLE: {_shortened(text)}") from None
    is_last = (groups & _MORE) == 0
    if len(groups) == 0 or groups.min() < 0 or groups.max() > 0x3F or not is_last[-1]:
        raise ValueError(f"is no compressed RLE, or is cut: {_shortened(text)}")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MAX_GROUPS:
        raise ValueError(f"is no compressed RLE: {_shortened(text)}")
    shifts = _BITS * (np.arange(len(groups)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((groups & 0x1F) << shifts, starts)
    is_negative = (groups[ends] & _SIGN) != 0
    numbers[is_negative] -= np.int64(1) << np.minimum(_BITS * lengths[is_negative], 63)
    for first in (1, 2):  # from the fourth number on, each is a difference from the number two before
        numbers[first::2] = numbers[first::2].cumsum()
    return _draw(_segments_of_counts(numbers, size), size, rows_first=False)


def segments_of_mask(mask: NDArray[np.bool_], rows_first: bool = False) -> Segments:
    """Return the segments of the True pixels of a mask (H, W) bool, in order."""
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    line = (pixels if rows_first else cv2.transpose(pixels)).reshape(-1)
    changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    begins_within = bool(line[0]) if len(line) else False
    ends_within = bool(line[-1]) if len(line) else False
    edges = np.concatenate([[0] * begins_within, changes, [len(line)] * ends_within]).astype(np.int64)
    segments = edges.reshape(-1, 2)
    segments[:, 1] -= segments[:, 0]
    return segments


def mask_of_segments(segments: Segments, size: Size, rows_first: bool = False) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of segments: the inverse of `segments_of_mask`.

    ValueError if segments overlap, are out of order or empty, or leave the picture.
    """
    _check_segments(segments, size, 0)
    return _draw(segments, size, rows_first)


def _draw(segments: Segments, size: Size, rows_first: bool) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of segments that are valid."""
    height, width = size
    lengths = np.empty(2 * len(segments) + 1, np.int64)
    lengths[1::2] = segments[:, 1]
    edges = np.concatenate([[0], segments.sum(1)])
    lengths[0::2] = np.append(segments[:, 0], height * width) - edges
    values = np.arange(len(lengths), dtype=np.uint8) & 1
    line = np.repeat(values, lengths)
    if rows_first:
        return line.reshape(size).view(np.bool_)
    return np.ascontiguousarray(cv2.transpose(line.reshape(width, height))).view(np.bool_).reshape(size)


def _check_gaps(segments: Segments, base: int) -> None:
    """Raise ValueError if a start of a relative string is a distance below 0."""
    wrong = np.flatnonzero(segments[1:, 0] < 0) + 1
    if len(wrong):
        raise ValueError(
            f"has the distance {segments[wrong[0], 0]} before segment {wrong[0] + 1}; distances are not negative"
        )


def _check_segments(segments: Segments, size: Size, base: int) -> None:
    """Raise ValueError unless segments are in order, do not overlap and are inside of the picture.

    `base` is the number that the string has for the first pixel, for the message.
    """
    if not len(segments):
        return
    starts, lengths, ends = segments[:, 0], segments[:, 1], segments.sum(1)
    short = np.flatnonzero(lengths < 1)
    if len(short):
        raise ValueError(f"segment {short[0] + 1} has the length {lengths[short[0]]}; lengths are positive")
    if starts[0] < 0:
        raise ValueError(f"begins at pixel {starts[0] + base}; the first pixel is number {base}")
    wrong = np.flatnonzero(starts[1:] < ends[:-1]) + 1
    if len(wrong):
        index = int(wrong[0])
        begin, before = starts[index] + base, starts[index - 1] + base
        where = f"segment {index + 1} begins at pixel {begin}"
        if begin < before:
            raise ValueError(f"{where}, segment {index} at pixel {before}; starts must ascend")
        raise ValueError(f"{where}, and segment {index} ends at pixel {ends[index - 1] - 1 + base}; they overlap")
    if ends[-1] > size[0] * size[1]:
        last = size[0] * size[1] - 1 + base
        raise ValueError(f"reaches pixel {ends[-1] - 1 + base}; {_describe(size)}, the last is number {last}")


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
        raise ValueError(f"has counts for {total} pixels; {_describe(size)}")
    ends = counts.cumsum()
    ones = counts[1::2]
    segments = np.stack([ends[1::2] - ones, ones], 1)
    return segments[ones > 0]


def _describe(size: Size) -> str:
    return f"the picture of {size[0]}x{size[1]} (height x width) has {size[0] * size[1]} pixels"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Masks as segments of a picture that is read as one line of pixels, column after column or row after row.

Segments are an int64 array (n, 2): the first pixel of each, counted from 0, and its length. `rle_text.py` writes and
reads them as strings. `rle.py` has another form, in which a segment does not leave its row.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Segments = NDArray[np.int64]
Size = tuple[int, int]
"""Height and width."""

_WORD = 8
"""Pixels that are compared at once."""
_SAMPLED = 16


def segments_of_mask(mask: NDArray[np.bool_], rows_first: bool = False) -> Segments:
    """Return the segments of the True pixels of a mask (H, W) bool, in order."""
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    height, width = pixels.shape
    line = pixels.reshape(-1)
    if not line.size:
        return np.empty((0, 2), np.int64)
    if rows_first or width == 1:
        changes = _find_differences(line, 1) + 1
    elif _has_many_differences(pixels):
        columns = cv2.transpose(pixels).reshape(-1)
        changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    else:  # this takes less time than to transpose the picture, unless many places have to be sorted
        row, column = np.divmod(_find_differences(line, width), width)
        within = column * height + row + 1
        between = (np.flatnonzero(pixels[0, 1:] != pixels[-1, :-1]) + 1) * height  # from a column to the next one
        changes = np.sort(np.concatenate([within, between]))
    begins_within, ends_within = bool(line[0]), bool(line[-1])
    edges = np.concatenate([[0] * begins_within, changes, [line.size] * ends_within]).astype(np.int64)
    segments = edges.reshape(-1, 2)
    segments[:, 1] -= segments[:, 0]
    return segments


def _has_many_differences(pixels: NDArray[np.uint8]) -> bool:
    """Whether more than one pixel of a hundred differs from the one above. Every 16th row is looked at."""
    rows = pixels[1::_SAMPLED]
    return bool(np.count_nonzero(rows != pixels[:-1:_SAMPLED][: len(rows)]) * 100 > rows.size)


def _find_differences(line: NDArray[np.uint8], step: int) -> NDArray[np.int64]:
    """Return the places where a line of 0 and 1 differs from the value `step` places later.

    Most places do not. So eight of them are looked at in one, as a word of 64 bits.
    """
    differences = line[step:] ^ line[:-step]
    whole = differences.size // _WORD * _WORD
    words = np.flatnonzero(differences[:whole].view(np.uint64) != 0)
    within = np.flatnonzero(differences[:whole].reshape(-1, _WORD)[words].view(np.bool_))
    rest = np.flatnonzero(differences[whole:]) + whole
    return np.concatenate([words[within // _WORD] * _WORD + within % _WORD, rest])


def mask_of_segments(segments: Segments, size: Size, rows_first: bool = False) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of segments: the inverse of `segments_of_mask`.

    ValueError if segments overlap, are out of order or empty, or leave the picture.
    """
    check_segments(segments, size, 0)
    return draw_segments(segments, size, rows_first)


def draw_segments(segments: Segments, size: Size, rows_first: bool) -> NDArray[np.bool_]:
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


def check_segments(segments: Segments, size: Size, base: int) -> None:
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
        raise ValueError(f"reaches pixel {ends[-1] - 1 + base}; {describe_size(size)}, the last is number {last}")


def describe_size(size: Size) -> str:
    """Say how many pixels a picture has."""
    return f"the picture of {size[0]}x{size[1]} (height x width) has {size[0] * size[1]} pixels"

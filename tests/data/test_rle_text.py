"""Run-length strings: golden values, round trips, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from foldseg.data.rle_segments import mask_of_segments, segments_of_mask
from foldseg.data.rle_text import (
    RleDialect,
    decode_coco_counts,
    decode_coco_text,
    decode_text,
    encode_coco_counts,
    encode_coco_text,
    encode_text,
    is_empty_text,
)

MASK = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]], bool)
COLUMNS, ROWS, RELATIVE = RleDialect(), RleDialect(rows_first=True), RleDialect(base=0, relative=True)
DIALECTS = [COLUMNS, ROWS, RELATIVE, RleDialect(base=0), RleDialect(rows_first=True, base=0), RleDialect(relative=True)]
TWO_COLUMNS = np.zeros((100, 2), bool)
TWO_COLUMNS[40:80, 0] = TWO_COLUMNS[10:90, 1] = True


@pytest.mark.parametrize(
    ("dialect", "text"), [(COLUMNS, "3 5 12 1"), (ROWS, "2 2 6 1 9 2 12 1"), (RELATIVE, "2 5 4 1")]
)
def test_golden_strings(dialect: RleDialect, text: str) -> None:
    assert encode_text(MASK, dialect) == text
    assert decode_text(text, (3, 4), dialect).tolist() == MASK.tolist()


@pytest.mark.parametrize(("value", "text"), [(False, ""), (True, "1 12")])
def test_empty_and_full(value: bool, text: str) -> None:
    mask = np.full((3, 4), value)
    assert encode_text(mask) == text
    assert decode_text(text, (3, 4)).tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("mask", "counts", "text"),
    [
        (MASK, [2, 5, 4, 1], "254L"),
        (np.zeros((3, 4), bool), [12], "<"),
        (np.ones((3, 4), bool), [0, 12], "0<"),
        (TWO_COLUMNS, [40, 40, 30, 80, 10], "X1X1n0X1\\O"),
    ],
    ids=["shape", "empty", "full", "two columns"],
)
def test_golden_values_of_coco(mask: np.ndarray, counts: list[int], text: str) -> None:
    assert encode_coco_counts(mask) == counts
    assert encode_coco_text(mask) == text
    assert decode_coco_counts(counts, mask.shape).tolist() == mask.tolist()
    assert decode_coco_text(text, mask.shape).tolist() == mask.tolist()


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_encoding_comes_back(mask: np.ndarray) -> None:
    for dialect in DIALECTS:
        assert decode_text(encode_text(mask, dialect), mask.shape, dialect).tolist() == mask.tolist()
    assert decode_coco_counts(encode_coco_counts(mask), mask.shape).tolist() == mask.tolist()
    assert decode_coco_text(encode_coco_text(mask), mask.shape).tolist() == mask.tolist()


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=40))
def test_long_segments_come_back_from_compressed_strings(lengths: list[int]) -> None:
    """Differences of lengths are negative as often as positive, and take one to three groups of bits."""
    mask = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)[:, None]
    assert encode_coco_counts(mask) == lengths
    assert decode_coco_text(encode_coco_text(mask), mask.shape).tolist() == mask.tolist()


def test_columns_are_told_from_rows_by_the_pixel_that_a_number_means() -> None:
    """By the slow way: pixel number 1 + row + column * height, or 1 + column + row * width."""
    rng = np.random.default_rng(0)
    mask = rng.random((7, 5)) < 0.4
    for dialect in (COLUMNS, ROWS):
        numbers = set()
        for start, length in np.array(encode_text(mask, dialect).split(), int).reshape(-1, 2):
            numbers |= set(range(start, start + length))
        line = mask if dialect.rows_first else mask.T
        assert numbers == {1 + place for place, value in enumerate(line.ravel()) if value}


def test_segments_are_the_first_pixel_and_the_length() -> None:
    assert segments_of_mask(MASK).tolist() == [[2, 5], [11, 1]]
    assert segments_of_mask(np.zeros((2, 2), bool)).shape == (0, 2)
    assert mask_of_segments(np.array([[0, 2]]), (2, 2), rows_first=True).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("text", "dialect", "says"),
    [
        ("1 2 3", COLUMNS, "has 3 numbers, not pairs of start and length: 1 2 3"),
        ("-1", COLUMNS, "has 1 numbers, not pairs"),
        ("1 x", COLUMNS, "has 'x' where an integer is expected: 1 x"),
        ("1 2.0", COLUMNS, "has '2.0' where an integer is expected"),
        ("1 1_0", COLUMNS, "has '1_0' where an integer is expected"),
        ("1 \u0661", COLUMNS, "where an integer is expected"),
        ("1 2-3", COLUMNS, "has '2-3' where an integer is expected"),
        ("- 1", COLUMNS, "has '-' where an integer is expected"),
        ("nan", COLUMNS, "has 'nan' where an integer is expected"),
        ("99999999999999999999 1", COLUMNS, "has the number 9223372036854775807; the picture"),
        ("0 1", COLUMNS, "begins at pixel 0; the first pixel is number 1"),
        ("3 0", COLUMNS, "segment 1 has the length 0; lengths are positive"),
        ("1 1 3 -1", COLUMNS, "segment 2 has the length -1"),
        ("5 3 7 2", COLUMNS, "segment 2 begins at pixel 7, and segment 1 ends at pixel 7; they overlap"),
        ("7 1 1 1", COLUMNS, "segment 2 begins at pixel 1, segment 1 at pixel 7; starts must ascend"),
        (
            "12 2",
            COLUMNS,
            r"reaches pixel 13; the picture of 3x4 \(height x width\) has 12 pixels, .*number 12",
        ),
        ("12 1", RleDialect(base=0), "reaches pixel 12; .* the last is number 11"),
        ("9223372036854775807 1", COLUMNS, "has the number 9223372036854775807; the picture of 3x4"),
        ("99999999999999999999 -1", COLUMNS, "has the number 99999999999999999999, which no picture has"),
        ("2 5 -1 1", RELATIVE, "has the distance -1 before segment 2"),
        ("-1 5", RELATIVE, "begins at pixel -1; the first pixel is number 0"),
        ("2 5 5 1", RELATIVE, "reaches pixel 12"),
    ],
)
def test_a_wrong_string_is_an_error_that_says_why(text: str, dialect: RleDialect, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode_text(text, (3, 4), dialect)


@pytest.mark.parametrize("segments", [[[0, 2], [1, 1]], [[-1, 2]], [[0, 0]], [[11, 2]]])
def test_wrong_segments_are_an_error(segments: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"overlap|first pixel|length 0|reaches pixel 12"):
        mask_of_segments(np.array(segments), (3, 4))


@pytest.mark.parametrize("text", ["", " ", "-1", " -1", "-"])
def test_cells_of_an_empty_mask(text: str) -> None:
    assert is_empty_text(text)


@pytest.mark.parametrize("text", ["1 1", "0", "-1 1", "nan"])
def test_cells_that_are_no_empty_mask(text: str) -> None:
    assert not is_empty_text(text)


def test_blanks_around_and_between_numbers_do_not_count() -> None:
    assert decode_text(" 3  5 12 1\n", (3, 4)).tolist() == MASK.tolist()


def test_a_dialect_in_words() -> None:
    assert str(COLUMNS) == "down the columns, from 1"
    assert str(RleDialect(rows_first=True, base=0, relative=True)) == "along the rows, from 0, relative"


def test_counts_along_the_rows_of_a_box() -> None:
    """The mask of CVAT's page about its XML."""
    counts = [3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3]
    mask = decode_coco_counts(counts, (15, 13), rows_first=True)
    assert mask.sum() == 149
    assert mask[0].tolist() == [False] * 3 + [True] * 5 + [False] * 5


@pytest.mark.parametrize("text", ["", "é", "254", "254LX", "254l", "\x1f", "o" * 40])
def test_a_wrong_string_of_coco_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no compressed RLE|has counts for"):
        decode_coco_text(text, (3, 4))


def test_counts_that_do_not_fill_the_picture_are_an_error() -> None:
    for counts in ([2, 5], [2, 5, 4, 2], [], [14, -2]):
        with pytest.raises(ValueError, match="the picture of 3x4"):
            decode_coco_counts(counts, (3, 4))

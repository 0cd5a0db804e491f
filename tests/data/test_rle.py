"""RLE: found in one pass, back to masks, and counted without pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.data.rle import EMPTY_RLE, count_rle_pixels, count_shared_pixels, decode_rle, encode_classes, encode_mask

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 13))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))


def slow_runs(mask: np.ndarray) -> list[list[int]]:
    """Pixel by pixel: open a run at its first pixel, close it at its last."""
    runs: list[list[int]] = []
    for y, row in enumerate(mask.tolist()):
        for x, inside in enumerate(row):
            if inside and (x == 0 or not row[x - 1]):
                runs.append([y, x, x])
            elif inside:
                runs[-1][2] = x
    return runs


@given(hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 5, 255])))
def test_runs_of_every_class_agree_with_a_slow_loop(labels: np.ndarray) -> None:
    for index, runs in zip([5, 0, 255], encode_classes(labels, [5, 0, 255]), strict=True):
        assert runs.tolist() == slow_runs(labels == index)
        assert runs.dtype == np.int64


@given(hnp.arrays(bool, SHAPES))
def test_masks_come_back_from_their_runs(mask: np.ndarray) -> None:
    assert np.array_equal(decode_rle(encode_mask(mask), mask.shape), mask)


@given(PAIRS)
def test_pixels_are_counted_like_those_of_masks(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    assert count_rle_pixels(encode_mask(a)) == a.sum()
    assert count_shared_pixels(encode_mask(a), encode_mask(b)) == (a & b).sum()


def test_runs_that_touch_count_like_one() -> None:
    """Row 3, columns 2 to 4 in two segments, against columns 0 to 9 of the same row."""
    touching = np.array([[3, 2, 2], [3, 3, 4]])
    assert count_rle_pixels(touching) == 3
    row = np.array([[3, 0, 9]])
    assert count_shared_pixels(touching, row) == count_shared_pixels(row, touching) == 3
    assert decode_rle(touching, (4, 6))[3].tolist() == [False, False, True, True, True, False]


def test_no_runs() -> None:
    assert count_rle_pixels(EMPTY_RLE) == 0
    row = np.array([[0, 0, 5]])
    assert count_shared_pixels(EMPTY_RLE, row) == count_shared_pixels(row, EMPTY_RLE) == 0
    assert not decode_rle(EMPTY_RLE, (2, 3)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_pictures_of_one_row_or_column(size: tuple[int, int]) -> None:
    assert encode_mask(np.ones(size, bool)).tolist() == [[y, 0, size[1] - 1] for y in range(size[0])]

"""The dialect of run-length strings is found from the strings alone, from shapes, images or true masks."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from foldseg.data.rle_guess import DIALECTS, guess_dialect
from foldseg.data.rle_text import RleDialect, encode_text

SIZE = (40, 64)


def draw_ellipses(size: tuple[int, int], number: int = 6, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(number):
        picture = np.zeros(size, np.uint8)
        centre = (int(rng.integers(10, size[1] - 10)), int(rng.integers(10, size[0] - 10)))
        cv2.ellipse(picture, centre, (9, 4), float(rng.integers(0, 40)), 0, 360, 1, -1)
        masks.append(picture.astype(bool))
    return masks


def encode_all(masks: Iterable[np.ndarray], dialect: RleDialect) -> list[str]:
    return [encode_text(mask, dialect) for mask in masks]


def touch_borders(masks: list[np.ndarray]) -> None:
    """Let objects reach the lower and the right border, and the first pixel of the first mask be inside."""
    masks[0][:6, :7] = masks[1][-5:, 20:30] = masks[2][10:20, -7:] = True


def test_all_dialects_are_there_once() -> None:
    assert len(set(DIALECTS)) == len(DIALECTS) == 8


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_every_dialect_is_found_by_the_true_masks(dialect: RleDialect) -> None:
    masks = draw_ellipses(SIZE)
    guess = guess_dialect(encode_all(masks, dialect), [SIZE] * len(masks), masks)
    assert guess.best == dialect
    assert guess.undecided == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_every_dialect_is_found_by_shapes_that_reach_borders(dialect: RleDialect) -> None:
    masks = draw_ellipses(SIZE)
    touch_borders(masks)
    guess = guess_dialect(encode_all(masks, dialect), [SIZE] * len(masks))
    assert guess.best == dialect
    assert guess.undecided == []


def test_without_shapes_at_borders_nothing_tells_the_base() -> None:
    masks = draw_ellipses(SIZE)
    guess = guess_dialect(encode_all(masks, RleDialect()), [SIZE] * len(masks))
    assert guess.dialects[:2] == [RleDialect(), RleDialect(base=0)]
    assert guess.undecided == ["base"]
    assert guess.evidence[1] == "from 1 or from 0: nothing tells which; from 1 is what most contests do"


def test_a_string_that_leaves_the_picture_refutes_a_dialect() -> None:
    last_pixel = np.zeros(SIZE, bool)
    last_pixel[-1, -1] = True
    guess = guess_dialect([encode_text(last_pixel)], [SIZE])
    assert {dialect.base for dialect in guess.dialects} == {1}
    assert guess.evidence[1] == (
        "from 1: from 0, string 1 reaches pixel 2560; the picture of 40x64 (height x width) has 2560 pixels, "
        "the last is number 2559"
    )


def test_a_start_of_0_refutes_a_first_pixel_of_1() -> None:
    guess = guess_dialect(["0 2 5 1"], [(2, 3)])
    assert {dialect.base for dialect in guess.dialects} == {0}


def test_starts_that_do_not_ascend_refute_absolute_strings() -> None:
    masks = draw_ellipses(SIZE)
    guess = guess_dialect(encode_all(masks, RleDialect(base=0, relative=True)), [SIZE] * len(masks))
    assert guess.best == RleDialect(base=0, relative=True) or guess.undecided == ["base"]
    assert all(dialect.relative for dialect in guess.dialects)
    assert "relative: absolute, string 1 segment 2 begins at pixel" in guess.evidence[2]


@pytest.mark.parametrize("rows_first", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_tell_the_direction_in_square_pictures(rows_first: bool, channels: int) -> None:
    size = (48, 48)
    masks = draw_ellipses(size)
    texts = encode_all(masks, RleDialect(rows_first=rows_first))
    without_images = guess_dialect(texts, [size] * len(masks))
    assert "rows_first" in without_images.undecided
    assert not without_images.best.rows_first
    rng = np.random.default_rng(1)
    images = [(mask * 90 + 60 + rng.integers(0, 40, size)).astype(np.uint8) for mask in masks]
    if channels == 3:
        images = [np.stack([image] * 3, 2) for image in images]
    guess = guess_dialect(texts, [size] * len(masks), images=images)
    assert guess.best.rows_first == rows_first
    assert "rows_first" not in guess.undecided
    assert "grey levels at the borders" in guess.evidence[0]


def test_images_that_show_nothing_leave_the_direction_open() -> None:
    size = (48, 48)
    masks = draw_ellipses(size)
    images = [np.full(size, 100, np.uint8)] * len(masks)
    guess = guess_dialect(encode_all(masks, RleDialect(rows_first=True)), [size] * len(masks), images=images)
    assert guess.undecided == ["rows_first", "base"]


def test_empty_strings_are_passed_over() -> None:
    masks = draw_ellipses(SIZE)
    touch_borders(masks)
    texts = ["", "-1", "-", *encode_all(masks, RleDialect(rows_first=True))]
    assert guess_dialect(texts, [SIZE] * len(texts)).best == RleDialect(rows_first=True)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["", " -1", "-"], "none of 3 run-length strings has a pixel"),
        (["1 2", "", "1 2 3"], "fit no dialect; down the columns, from 1: string 3 has 3 numbers"),
        (["1 99"], "fit no dialect; .*: string 1 has the number 99"),
    ],
)
def test_strings_of_no_dialect(texts: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        guess_dialect(texts, [(3, 4)] * len(texts))

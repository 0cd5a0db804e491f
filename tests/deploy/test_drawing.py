"""Overlays to the pixel; legends as far as that every class has its colour and a place of its own."""

import numpy as np
import pytest

from foldseg.data import camvid
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.deploy.drawing import legend, overlay, with_legend

LABELS = LabelSet(
    (
        LabelClass("car", (0, 0, 255), (0,)),
        LabelClass("wall", (100, 200, 0), (1,)),
        LabelClass("sky", (10, 20, 30), (2,)),
    )
)


def test_overlay_mixes_exactly_and_leaves_void_alone():
    image = np.full((1, 3, 3), (100, 50, 20), np.uint8)
    mixed = overlay(image, np.array([[0, 1, 255]], np.uint8), LABELS, 0.25)
    assert mixed.dtype == np.uint8
    # 0.75 frame + 0.25 colour, rounded to the nearest; halves go to the even neighbour
    assert mixed[0].tolist() == [[75, 38, 79], [100, 88, 15], [100, 50, 20]]
    assert image[0, 0].tolist() == [100, 50, 20]


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, [100, 50, 20]), (1.0, [0, 0, 255])])
def test_overlay_of_none_and_of_all(alpha: float, expected: list[int]):
    image = np.full((1, 1, 3), (100, 50, 20), np.uint8)
    assert overlay(image, np.zeros((1, 1), np.uint8), LABELS, alpha)[0, 0].tolist() == expected


def test_overlay_writes_into_nothing_that_it_was_given():
    image, mask = np.full((4, 6, 3), 9, np.uint8), np.full((4, 6), 255, np.uint8)
    image.setflags(write=False)
    mixed = overlay(image, mask, LABELS)
    assert np.array_equal(mixed, image)
    assert mixed.flags.writeable


@pytest.mark.parametrize("width", [16, 100, 256, 481, 960, 1936])
def test_a_legend_shows_every_class_once_in_its_colour(width: int):
    strip = legend(camvid.LABELS, width)
    assert strip.shape[1] == width and strip.dtype == np.uint8
    squares = set()
    for label in camvid.LABELS.classes:
        rows, columns = np.nonzero((strip == label.colour).all(-1))
        assert len(rows) >= 16, label.name
        squares.add((rows.min(), columns.min()))
    assert len(squares) == len(camvid.LABELS)


def test_a_legend_takes_a_small_part_of_a_frame():
    assert legend(camvid.LABELS, 1936).shape[0] < 0.1 * 1216
    assert legend(camvid.LABELS, 480).shape[0] < 0.25 * 360


def test_the_legend_is_below_the_picture():
    image = np.random.default_rng(0).integers(0, 256, (48, 200, 3), dtype=np.uint8)
    whole = with_legend(image, LABELS)
    assert np.array_equal(whole[:48], image)
    assert np.array_equal(whole[48:], legend(LABELS, 200))

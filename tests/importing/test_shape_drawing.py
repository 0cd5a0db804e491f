"""Shapes as pixels, and what is painted over what."""

import math

import numpy as np
import pytest

from foldseg.importing.draw import paint, paint_bits
from foldseg.importing.label_studio_rle import decode_brush
from foldseg.importing.shapes import (
    Bitmap,
    Ellipse,
    Line,
    Polygon,
    Shape,
    box_polygon,
    cover,
    fill_like_coco,
    fill_polygon,
    read_points,
)
from importing.trees import coco_counts

RECTANGLE = Polygon([read_points([1, 1, 6, 1, 6, 4, 1, 4])])
GOLDEN = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]], bool)


def draw(form, size=(6, 8), fill=fill_polygon, width=None) -> np.ndarray:
    mask = np.zeros(size, bool)
    patch = cover(form, size, fill, width)
    if patch is not None:
        mask[patch.window] = patch.pixels
    return mask


def test_a_rectangle_is_not_the_same_pixels_everywhere() -> None:
    ours, of_coco = draw(RECTANGLE), draw(RECTANGLE, fill=fill_like_coco)
    assert ours.sum() == 24 and ours[1:5, 1:7].all()
    assert of_coco.sum() == 15 and of_coco[1:4, 1:6].all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools' own decoder
@pytest.mark.parametrize(
    "corners",
    [
        [[3.2, 1.7, 17.9, 4.1, 12.3, 15.5, 2.2, 9.9]],
        [[1, 1, 6, 1, 6, 4, 1, 4], [8.5, 8.5, 14.5, 9.5, 10.5, 14.5]],
        [[-5, 2, 12, -4, 30, 9, 8, 30]],
        [[0, 0, 20, 0, 20, 18, 0, 18]],
    ],
)
def test_polygons_of_coco_are_those_of_pycocotools(corners: list[list[float]]) -> None:
    from pycocotools import mask as coco_mask

    size = (18, 20)
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(corners, *size)))
    assert np.array_equal(draw(Polygon([read_points(part) for part in corners]), size, fill_like_coco), expected)


def test_holes_lose_their_edge_and_parts_are_united() -> None:
    hole = Polygon([read_points([0, 0, 7, 0, 7, 5, 0, 5])], [read_points([2, 2, 4, 2, 4, 3, 2, 3])])
    assert draw(hole).sum() == 48 - 6
    twice = Polygon([RECTANGLE.parts[0], RECTANGLE.parts[0]])
    assert np.array_equal(draw(twice), draw(RECTANGLE))


def test_shapes_are_cut_at_the_border() -> None:
    assert draw(box_polygon(-10, -10, 1, 1)).sum() == 4
    assert draw(Ellipse((0, 0), (1, 1))).sum() == 3
    assert draw(Bitmap(np.ones((4, 4), bool), -2, 4)).sum() == 4
    for outside in (box_polygon(10, 10, 12, 12), Ellipse((-9, 0), (3, 3)), Bitmap(np.ones((2, 2), bool), 8, 0)):
        assert cover(outside, (6, 8), fill_polygon) is None


def test_ellipses_and_turned_boxes() -> None:
    upright, turned = draw(Ellipse((10, 10), (8, 3)), (21, 21)), draw(Ellipse((10, 10), (8, 3), 90), (21, 21))
    assert np.array_equal(turned, upright.T)
    assert upright[10, 2:19].all() and not upright[10, 1] and upright[7:14, 10].all() and not upright[6, 10]
    box = draw(box_polygon(4, 8, 16, 12, 90), (21, 21))
    assert np.array_equal(box, draw(box_polygon(8, 4, 12, 16), (21, 21)))
    down = draw(box_polygon(0, 10, 20, 10, 45), (21, 21))
    assert down[4, 4] and down[16, 16] and not down[4, 16]


def test_lines_need_a_width() -> None:
    line = Line(read_points([1, 1, 6, 1]), None)
    assert not draw(line).any()
    assert np.array_equal(np.flatnonzero(draw(line, width=1)), np.arange(9, 15))
    assert draw(Line(line.points, 10), width=1).sum() == 6


@pytest.mark.parametrize("values", [[1, 2, 3], [[1, 2, 3]], "ab", [math.nan, 1], [1e9, 0], None, [[1], [2, 3]]])
def test_impossible_corners(values: object) -> None:
    with pytest.raises(ValueError, match="coordinates"):
        read_points(values)


def test_later_shapes_are_painted_over_earlier_ones() -> None:
    shapes = [
        Shape("a", box_polygon(0, 0, 3, 3), "first"),
        Shape("b", box_polygon(2, 2, 5, 5), "second"),
        Shape("a", box_polygon(5, 5, 5, 5), "third"),
        Shape("a", box_polygon(9, 9, 9, 9), "outside"),
        Shape("b", box_polygon(0, 0, 3, 3), "over the first"),
    ]
    painting = paint(shapes, {"a": 1, "b": 2}, (6, 8), fill_polygon)
    assert painting.painted_over == {("a", "b"): 4 + 12, ("b", "a"): 1}
    assert painting.objects == {"a": 2, "b": 2}
    assert painting.hidden == {"a": 1}
    assert painting.empty == ["outside"]
    assert painting.mask[5, 5] == 1 and painting.mask[0, 0] == 2 and painting.mask[5, 0] == 0
    assert (paint([], {}, (6, 8), fill_polygon, unlabelled=255).mask == 255).all()


def test_classes_that_overlap_are_bits() -> None:
    shapes = [
        Shape("a", box_polygon(0, 0, 3, 3), ""),
        Shape("b", box_polygon(2, 2, 5, 5), ""),
        Shape("ignore", box_polygon(5, 5, 7, 5), ""),
    ]
    painting = paint_bits(shapes, {"a": 0, "b": 1, "ignore": 7}, (6, 8), fill_polygon)
    assert painting.mask[0, 0] == 1 and painting.mask[2, 2] == 3 and painting.mask[4, 4] == 2
    assert painting.mask[5, 5] == 255 and painting.mask[0, 7] == 0
    assert painting.painted_over == {("a", "b"): 4}


GOLDEN_BITS = [0, 0, 0, 48, 57, 27, 252, 96, 19, 255, 206, 1, 31, 252, 224, 19, 255, 198, 1, 31, 248]


def test_brush_strokes_of_label_studio() -> None:
    assert np.array_equal(decode_brush(GOLDEN_BITS, (3, 4)), GOLDEN)


def test_brush_strokes_with_values_that_are_no_runs() -> None:
    values = np.repeat(np.where(GOLDEN.ravel(), 255, 0), 4).astype(np.uint8)
    bits = f"{48:032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    bits += "0" + "10" + f"{47:08b}" + "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    stream = [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
    assert np.array_equal(decode_brush(stream, (3, 4)), GOLDEN)


@pytest.mark.parametrize(
    ("stream", "size", "message"),
    [
        (GOLDEN_BITS, (4, 4), "48 values; the picture of 4x4"),
        (GOLDEN_BITS[:-3], (3, 4), "is cut"),
        ([], (3, 4), "is cut"),
        ([300], (3, 4), "something else than bytes"),
        ("abc", (3, 4), "something else than bytes"),
        ([*GOLDEN_BITS[:4], 1, *GOLDEN_BITS[5:]], (3, 4), "another length than 8 bits"),
    ],
)
def test_damaged_brush_strokes(stream: object, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_brush(stream, size)  # type: ignore[arg-type]


def test_counts_of_the_trees_are_those_of_coco() -> None:
    assert coco_counts(GOLDEN) == [2, 5, 4, 1]

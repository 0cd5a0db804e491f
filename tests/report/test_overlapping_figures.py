"""Error maps and legends of overlapping classes."""

import numpy as np

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.deploy.drawing import overlay
from foldseg.report.figures import (
    FALSE_ALARM,
    MISSED,
    RIGHT,
    UNSCORED,
    VOID,
    draw_error_map,
    make_class_legend,
    make_error_legend,
)

LABELS = LabelSet(
    (
        LabelClass("a", (200, 0, 0), (1, 3)),
        LabelClass("b", (0, 200, 0), (2, 3)),
        LabelClass("c", (0, 0, 200), (4,), scored=False),
    ),
    void_ids=(255,),
    overlapping=True,
)


def test_an_error_map_tells_what_is_missed_from_what_is_too_much() -> None:
    truth = np.array([[0, 3, 3, 1, 0, 4, 255]], np.uint8)
    prediction = np.array([[0, 3, 1, 3, 4, 0, 3]], np.uint8)
    expected = [RIGHT, RIGHT, MISSED, FALSE_ALARM, UNSCORED, UNSCORED, VOID]
    assert draw_error_map(truth, prediction, LABELS)[0].tolist() == [list(colour) for colour in expected]
    both = draw_error_map(np.array([[1]], np.uint8), np.array([[2]], np.uint8), LABELS)
    assert both[0, 0].tolist() == list(MISSED)


def test_legends_name_the_classes_whose_bits_occur() -> None:
    entries = [patch.get_label() for patch in make_class_legend(LABELS, [np.array([[0, 3, 255]], np.uint8)])]
    assert entries == ["a", "b", "void"]
    assert [patch.get_label() for patch in make_class_legend(LABELS)] == ["a", "b", "c"]
    names = [patch.get_label() for patch in make_error_legend(LABELS)]
    assert names == ["right", "class missed", "class where there is none", "wrong, but not scored", "void"]


def test_pixels_of_no_class_keep_the_picture() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    mixed = overlay(image, np.array([[0, 1, 255]], np.uint8), LABELS, 0.5)
    assert mixed[0].tolist() == [[100, 100, 100], [150, 50, 50], [100, 100, 100]]

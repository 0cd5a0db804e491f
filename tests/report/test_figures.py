"""Pictures to the pixel, figures as far as that they render."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.report.figures import (
    FALSE_ALARM,
    MISSED,
    RIGHT,
    UNSCORED,
    VOID,
    Picture,
    draw_bar_chart,
    draw_error_map,
    draw_heat_map,
    draw_picture_grid,
    format_percent,
    make_class_legend,
    make_error_legend,
    render_png,
    save_png,
)

LABELS = LabelSet(
    (
        LabelClass("car", (0, 0, 255), (0,)),
        LabelClass("wall", (100, 200, 0), (1,), scored=False),
        LabelClass("sky", (10, 20, 30), (2,), scored=False),
    )
)


def decoded(content: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_error_map_without_labels_knows_right_wrong_and_void():
    truth, prediction = np.array([[0, 1, 255]], np.uint8), np.array([[0, 2, 0]], np.uint8)
    assert draw_error_map(truth, prediction)[0].tolist() == [list(RIGHT), list(MISSED), list(VOID)]


def test_error_map_tells_what_a_mistake_costs():
    truth = np.array([[0, 1, 0, 1, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 0, 2, 0]], np.uint8)
    expected = [RIGHT, RIGHT, MISSED, FALSE_ALARM, UNSCORED, VOID]
    assert draw_error_map(truth, prediction, LABELS)[0].tolist() == [list(colour) for colour in expected]
    assert [entry.get_label() for entry in make_error_legend(LABELS)][1:4] == [
        "scored class missed",
        "scored class where there is none",
        "wrong, but not scored",
    ]


def test_legend_has_the_classes_that_occur():
    masks = [np.array([[2, 2]], np.uint8), np.array([[0, 255]], np.uint8)]
    assert [entry.get_label() for entry in make_class_legend(LABELS, masks)] == ["car", "sky", "void"]
    assert [entry.get_label() for entry in make_class_legend(LABELS)] == ["car", "wall", "sky"]
    assert make_class_legend(LABELS, masks)[0].get_facecolor() == (0, 0, 1, 1)


def test_grid_shows_the_pictures_and_leaves_places_empty(tmp_path: Path):
    red, wide = np.full((40, 60, 3), (255, 0, 0), np.uint8), np.zeros((80, 1500, 3), np.uint8)
    figure = draw_picture_grid(
        [[Picture(red, "red", "a note"), None], [Picture(wide)]], make_class_legend(LABELS), "title"
    )
    save_png(figure, tmp_path / "grid.png", dpi=50)
    picture = decoded((tmp_path / "grid.png").read_bytes())
    assert (picture == (0, 0, 255)).all(-1).mean() > 0.1  # OpenCV's order is BGR
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
    assert len(figure.axes) == 4


def test_charts_render_with_missing_and_zero_values():
    values = pd.Series({"a": 0.5, "b": float("nan"), "c": 0.0})
    for figure in (
        draw_bar_chart(values, "bars"),
        draw_bar_chart(values, "log", [(1, 2, 3)] * 3, format_percent, logarithmic=True),
    ):
        assert decoded(render_png(figure, 50)).std() > 0
        assert "–" in [text.get_text() for text in figure.axes[0].texts]
    table = pd.DataFrame({"x": [1.0, float("nan")], "y": [0.25, 0.0]}, index=["p", "q"])
    figure = draw_heat_map(table, "cells")
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["0.00", "0.25", "1.00"]
    assert decoded(render_png(figure, 50)).std() > 0


def test_percent_keeps_digits_of_rare_classes():
    assert [format_percent(v) for v in (0.0, 0.5, 0.0123, 0.00056, 1.0)] == [
        "0.0%",
        "50.0%",
        "1.2%",
        "0.056%",
        "100.0%",
    ]

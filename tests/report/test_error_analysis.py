"""Error tables against numbers worked out by hand: see conftest for what the frames hold."""

import numpy as np
import pytest

from foldseg.report import error_analysis
from foldseg.report.figures import render_png
from foldseg.report.oof_labels import open_oof
from foldseg.scoring.scores import score

ROAD = 24 * 63 - 80  # pixels of road in every truth
HALF, MISSED = "A1_f00300", "B2_f00600"  # images whose car is found by half, and not at all


@pytest.fixture
def analysis(world):
    world.runs("one", {HALF: 0.5, MISSED: 0.0})
    world.submission([{"experiment": "one"}], {HALF: 0.5, MISSED: 0.0})
    return error_analysis.analyse(open_oof(world.root / "subs/both"))


def test_perfect_images_score_one(analysis):
    table = error_analysis.score_images(analysis).drop(index=[HALF, MISSED])
    assert (table[["image_mean_iou_present", "miou", "pixel_accuracy"]] == 1.0).all(axis=None)
    assert table[["building", "car"]].eq(1.0).all(axis=None) and table["sky"].isna().all()
    assert table.columns[:3].tolist() == ["fold", "group", "stratum"]


def test_known_mistakes_have_known_scores(analysis):
    table = error_analysis.score_images(analysis)
    half = (1 + 1 + ROAD / (ROAD + 40) + 40 / 80) / 4
    missed = (1 + 1 + ROAD / (ROAD + 80) + 0) / 4
    assert table.loc[HALF, "image_mean_iou_present"] == pytest.approx(half)
    assert table.loc[MISSED, "image_mean_iou_present"] == pytest.approx(missed)
    assert table.loc[MISSED, "pixel_accuracy"] == pytest.approx(1 - 80 / (48 * 63))
    assert error_analysis.select_worst_images(table, 2).index.tolist() == [MISSED, HALF]
    assert error_analysis.select_worst_images(table, 1, by="car").index.tolist() == [MISSED]


def test_miou_of_an_image_counts_classes_that_are_not_there(analysis):
    counts = analysis.counts.copy()
    counts[0, 0, 2] = 7  # seven pixels of sky where there is none
    table = error_analysis.score_images(
        error_analysis.ErrorAnalysis(analysis.oof, counts, analysis.confusion, analysis.objects)
    )
    assert table["image_mean_iou_present"].iloc[0] == 1.0
    assert table["miou"].iloc[0] == pytest.approx(4 / 5)


def test_confusion_is_normalised_by_truth(analysis):
    table = error_analysis.normalise_confusion(analysis)
    assert table.loc["car", "road"] == pytest.approx((40 + 80) / (6 * 80))
    assert table.loc["building", "building"] == 1.0
    assert table.loc["sky"].isna().all()
    pairs = error_analysis.find_confused_pairs(analysis)
    assert pairs.to_dict("records") == [
        {"truth": "car", "prediction": "road", "share_of_class": pytest.approx(0.25), "share_of_errors": 1.0}
    ]


def test_class_table(analysis):
    table = error_analysis.score_classes(analysis)
    assert table.loc["car", "recall"] == pytest.approx(0.75) and table.loc["car", "precision"] == 1.0
    assert table.loc["car", "iou"] == pytest.approx(360 / 480)
    assert table.loc["car", "image_iou"] == pytest.approx((4 + 0.5) / 6)
    assert table.loc["sky", "images"] == 0 and np.isnan(table.loc["sky", "iou"])


@pytest.mark.parametrize("column", ["stratum", "fold", "group"])
def test_scores_of_parts_are_made_anew_from_counts(analysis, column: str):
    table = error_analysis.score_by(analysis, column)
    labels = analysis.oof.labels
    for name in table.index[:-1]:
        chosen = (analysis.oof.table[column].astype(str) == name).to_numpy()
        assert table.loc[name, "images"] == chosen.sum()
        assert table.loc[name, "dataset_miou"] == score("dataset_miou", analysis.counts[chosen], labels).value
    assert table.loc["all", "images"] == 6
    car, road = 360 / 480, 6 * ROAD / (6 * ROAD + 120)
    assert table.loc["all", "dataset_miou"] == pytest.approx((1 + 1 + car + road) / 4)


def test_recall_by_object_size(analysis):
    table = error_analysis.score_by_size(analysis).set_index(["class", "size"])
    # The image has 3,072 pixels, so the bins end at 0.03, 0.3, 3, 31 and 307
    assert table.loc[("pole", "3–31 px")].to_dict() == {"objects": 6, "recall": 1.0, "found": 1.0}
    car = table.loc[("car", "31–307 px")]
    assert (car["objects"], car["recall"], car["found"]) == (6, pytest.approx(0.75), pytest.approx(5 / 6))
    assert table.loc[("building", "over 307 px"), "recall"] == 1.0
    assert len(table) == 4
    wide = error_analysis.pivot_by_size(table.reset_index(), "recall")
    assert wide.columns.tolist() == ["3–31 px", "31–307 px", "over 307 px"]
    assert np.isnan(wide.loc["pole", "over 307 px"])


def test_objects_are_components_with_diagonal_neighbours():
    truth = np.zeros((6, 6), np.uint8)
    truth[0, 0] = truth[1, 1] = 1  # one object: they touch at a corner
    truth[4:, 3:] = 1
    prediction = np.zeros_like(truth)
    prediction[1, 1] = 1
    prediction[4] = 1
    area, recall = error_analysis.measure_object_recall(truth, prediction, 1)
    assert area.tolist() == [2, 6] and recall.tolist() == [0.5, 0.5]


def test_bins_are_relative_to_the_image(analysis):
    edges = (0.0, 0.02, 0.5)
    table = error_analysis.score_by_size(analysis, edges)
    assert set(table["size"].astype(str)) == {"under 61 px", "61–1,536 px"}
    assert table["objects"].sum() == len(analysis.objects) == 24


def test_every_figure_renders(analysis):
    worst = error_analysis.select_worst_images(error_analysis.score_images(analysis), 2)
    figure = error_analysis.draw_images(analysis, worst.index)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0].startswith(MISSED) and titles[2].endswith(f"{worst['image_mean_iou_present'].iloc[0]:.3f}")
    figures = [figure, error_analysis.draw_confusion(analysis), error_analysis.draw_classes(analysis)]
    figures += [error_analysis.draw_by_size(analysis), error_analysis.draw_by_size(analysis, "found")]
    assert all(render_png(each, 40).startswith(b"\x89PNG") for each in figures)

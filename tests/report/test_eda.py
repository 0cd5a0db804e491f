"""Tables of a data set whose pixels are known."""

import cv2
import numpy as np
import pandas as pd
import pytest

from foldseg.data.datasets import DataSet
from foldseg.data.leaks import Leaks
from foldseg.errors import FoldsegError
from foldseg.report import eda
from foldseg.report.figures import render_png

CAR, POLE, VOID, LABELLED = 80, 4, 48, 48 * 63


def test_pixels_are_counted_once_per_mask(world):
    pixels = eda.count_class_pixels(DataSet(world.data))
    assert len(pixels) == 8
    row = pixels.loc["A1_f00300"]
    assert (row["car"], row["pole"], row["sky"], row["(void)"]) == (CAR, POLE, 0, VOID)
    assert row["building"] == 24 * 63 - POLE and row["road"] == 24 * 63 - CAR
    assert (pixels.sum(axis=1) == 48 * 64).all()


def test_class_table_shares(world):
    table = eda.summarise_classes(eda.count_class_pixels(DataSet(world.data)))
    assert table.loc["car", "pixel_share"] == pytest.approx(CAR / LABELLED)
    assert table.loc["(void)", "pixel_share"] == pytest.approx(VOID / (48 * 64))
    assert table.loc["car", "share_where_present"] == pytest.approx(CAR / (48 * 64))
    assert table.loc[["car", "sky"], "images"].tolist() == [8, 0]
    assert table["pixel_share"].drop("(void)").sum() == pytest.approx(1)


def test_presence_follows_the_masks(world):
    blank = np.full((48, 64), 3, np.uint8)  # road only
    cv2.imwrite(str(world.data.root / "trainannot/A1_f00000.png"), blank)
    pixels = eda.count_class_pixels(DataSet(world.data))
    assert eda.find_present_classes(pixels).loc["A1_f00000"].to_dict()["car"] is False
    assert eda.count_classes_per_image(pixels).to_dict() == {1: 1, 4: 7}
    assert eda.summarise_classes(pixels).loc["car", "image_share"] == pytest.approx(7 / 8)


def test_sample_is_spread_over_strata(world):
    sampled = eda.count_class_pixels(DataSet(world.data), 4)
    assert sorted(name[:2] for name in sampled.index) == ["A1", "B2", "C3", "D4"]


def test_spread_takes_turns_and_is_even():
    table = pd.DataFrame({"id": [f"{i:02d}" for i in range(12)], "stratum": ["a"] * 10 + ["b"] * 2})
    assert eda.select_spread(table, 6)["id"].tolist() == ["01", "03", "06", "08", "10", "11"]
    assert len(eda.select_spread(table, 99)) == 12
    assert eda.select_spread(table, 0).empty


def test_folds_splits_and_sizes(world):
    folds = eda.count_images_by_fold(DataSet(world.data))
    assert folds.loc["all", "images"] == 6 and folds.loc["all", "groups"] == 6
    assert (folds[["fold 0", "fold 1"]].sum(axis=1) == folds["images"]).all()
    assert folds.loc["A1", "images"] == 3
    assert eda.summarise_splits(DataSet(world.data))["images"].to_dict() == {"test": 1, "train": 6, "val": 1}
    sizes = eda.count_images_by_size(DataSet(world.data))
    assert sizes.iloc[0].to_dict() == {"split": "train", "height": 48, "width": 64, "images": 6}


def test_labels_may_be_a_choice_of_classes(world):
    chosen = DataSet(world.data).with_labels(("car",))
    pixels = eda.count_class_pixels(chosen)
    assert pixels.columns.tolist() == ["background", "car", "(void)"]
    assert (pixels["car"] == CAR).all()


def test_frames_render(world):
    figure = eda.draw_examples(DataSet(world.data), 3)
    assert [axis.get_title() for axis in figure.axes][:2] == ["A1_f00300", "stratum A1"]
    assert len(render_png(figure, 40)) > 1000


def test_a_missing_folds_file_is_named(world):
    world.data.folds.unlink()
    with pytest.raises(FoldsegError, match=r"folds\.csv: no such folds file; make it with foldseg folds"):
        eda.count_images_by_fold(DataSet(world.data))


def test_a_frame_of_another_folds_street_is_counted_and_drawn(world):
    """Frames of the made-up world are noise: none is alike until one is copied into another fold."""
    found = eda.find_leaks(DataSet(world.data))
    assert found.counts()["alike"].tolist() == [0, 0]
    assert len(found.nearest) == 6 + 7
    folds = world.folds.set_index("id")["fold"]
    first, second = folds.index[folds == 0][0], folds.index[folds == 1][0]
    (world.data.root / f"train/{second}.png").write_bytes((world.data.root / f"train/{first}.png").read_bytes())
    found = eda.find_leaks(DataSet(world.data))
    assert set(found.alike["id"]) == set(found.alike["other"]) == {first, second}
    assert found.nearest["similarity"].iloc[0] == pytest.approx(1, abs=1e-3)
    for number, border in ((1, "folds"), (3, "folds"), (1, "test")):
        picture = cv2.imdecode(
            np.frombuffer(render_png(eda.draw_closest_pairs(DataSet(world.data), found, number, border)), np.uint8), 1
        )
        assert picture is not None
    one, three = (eda.draw_closest_pairs(DataSet(world.data), found, number) for number in (1, 3))
    titles = [axis.get_title() for axis in one.axes]
    assert sorted(titles) == sorted([f"{first} (fold 0)", f"{second} (fold 1)"])
    assert "alike" in [text.get_text() for axis in one.axes for text in axis.texts]
    assert len([axis for axis in three.axes if axis.get_title()]) == 6


def test_without_test_images_there_is_no_pair_to_draw(world):
    found = eda.find_leaks(DataSet(world.data))
    only_folds = Leaks(found.shared, found.nearest[found.nearest["border"] == "folds"])
    with pytest.raises(FoldsegError, match="no images on both sides of the border test"):
        eda.draw_closest_pairs(DataSet(world.data), only_folds, border="test")

"""The one picture of an ensemble."""

import json

import cv2
import numpy as np
import pytest

from foldseg.config.schema import CleanUpStep, Tta
from foldseg.ensemble.members import find_members
from foldseg.errors import FoldsegError
from foldseg.report.ensemble_picture import choose_images, draw_ensemble, read_stage_labels, write_ensemble_picture
from foldseg.report.oof_labels import open_oof

RIGHT, WRONG = "A1_f00000", "A1_f00300"


@pytest.fixture
def ensemble(world):
    world.runs("good", {}, confidence=155)  # with equal weights "bad", which is surer, would outvote it
    world.runs("bad", dict.fromkeys(world.ids, 0.0), confidence=255)
    members = [{"experiment": "good"}, {"experiment": "bad", "weight": 0.5}]
    return world.submission(members, {WRONG: 0.5})


def test_png_is_written_whole(world, ensemble):
    path = world.root / "pictures/summary.png"
    write_ensemble_picture(ensemble, path)
    picture = cv2.imread(str(path))
    assert picture.shape[1] > 1000 and picture.std() > 10
    assert [file.name for file in path.parent.iterdir()] == ["summary.png"]


def test_stages_are_members_blend_and_what_was_scored(world, ensemble):
    oof = open_oof(world.root / "subs/both")
    results = read_stage_labels(find_members(ensemble), oof, WRONG, "blend")
    assert list(results) == ["good", "bad", "blend"]
    np.testing.assert_array_equal(results["good"], world.prediction())
    np.testing.assert_array_equal(results["bad"], world.prediction(0.0))
    np.testing.assert_array_equal(results["blend"], world.prediction(0.5))  # read, not computed


def test_blend_is_weighted(world, ensemble):
    with_step = ensemble.model_copy(update={"steps": (CleanUpStep(min_area=2),)})
    oof = open_oof(world.root / "subs/both")
    results = read_stage_labels(find_members(with_step), oof, WRONG, "blend + clean_up")
    assert list(results) == ["good", "bad", "blend", "blend + clean_up"]
    np.testing.assert_array_equal(results["blend"], world.prediction())
    np.testing.assert_array_equal(results["blend + clean_up"], world.prediction(0.5))


def test_titles_give_scores(world, ensemble):
    oof = open_oof(world.root / "subs/both")
    scores = json.loads((world.root / "subs/both/score.json").read_text())["oof"]
    figure = draw_ensemble(find_members(ensemble), oof, scores, [RIGHT])
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0].endswith(RIGHT) and titles[1] == "truth"
    assert titles[2:] == [f"{stage}\nOOF dataset_miou 0.5000" for stage in ("good", "bad", "blend")]
    assert figure.axes[2].texts[0].get_text() == "this image: 1.0000"


def test_choice_is_the_median_and_the_richest(world, ensemble):
    mask = np.full((48, 64), 3, np.uint8)
    mask[:8], mask[8:16], mask[16:24] = 1, 2, 4
    mask[24:28] = 5
    cv2.imwrite(str(world.data.root / "trainannot/B2_f00600.png"), mask)  # five classes, all wrong but one
    chosen = choose_images(open_oof(world.root / "subs/both"))
    assert len(chosen) == 2 and chosen[1] == "B2_f00600"
    assert chosen[0] not in (WRONG, "B2_f00600")


def test_other_settings_and_missing_submissions_are_refused(world, ensemble):
    path = world.root / "summary.png"
    with pytest.raises(FoldsegError, match="other tta than asked for"):
        write_ensemble_picture(ensemble.model_copy(update={"tta": Tta(symmetries="flip")}), path)
    with pytest.raises(FoldsegError, match="no such submission"):
        write_ensemble_picture(ensemble.model_copy(update={"name": "nobody"}), path)
    with pytest.raises(FoldsegError, match="no OOF image nobody"):
        write_ensemble_picture(ensemble, path, "nobody")
    assert not path.exists()

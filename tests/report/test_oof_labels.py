"""One door to the OOF labels of runs, experiments and ensembles."""

import json

import numpy as np
import pytest

from foldseg.errors import FoldsegError
from foldseg.report.oof_labels import open_oof


def test_run_experiment_and_submission_say_the_same(world):
    cars = {world.ids[0]: 0.5, world.ids[4]: 0.0}
    experiment = world.runs("one", cars)
    world.submission([{"experiment": "one"}], cars)
    whole, blended = open_oof(experiment), open_oof(world.root / "subs/both")
    single = open_oof(experiment / "fold_1")
    assert (whole.name, blended.name, single.name) == ("one", "both", "one/fold_1")
    assert whole.table["id"].tolist() == blended.table["id"].tolist() == world.ids
    assert single.table["fold"].unique().tolist() == [1]
    for (name, truth, ours), (other, _, theirs) in zip(whole, blended, strict=True):
        assert name == other
        np.testing.assert_array_equal(truth, world.truth())
        np.testing.assert_array_equal(ours, world.prediction(cars.get(name, 1.0)))
        np.testing.assert_array_equal(ours, theirs)
    assert whole.image(world.ids[0]).shape == (48, 64, 3)


def test_only_keeps_the_order_of_the_table(world):
    part = open_oof(world.runs("one", {})).only([world.ids[3], world.ids[1]])
    assert [name for name, _, _ in part] == [world.ids[1], world.ids[3]]


def test_a_submission_of_one_fold_has_that_fold(world):
    world.runs("one", {})
    world.submission([{"experiment": "one"}], {})
    scores = world.root / "subs/both/score.json"
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"folds": [0]}))
    assert open_oof(world.root / "subs/both").table["fold"].unique().tolist() == [0]


def test_what_is_no_source_is_named(world):
    with pytest.raises(FoldsegError, match="holds no OOF predictions"):
        open_oof(world.root)


def test_incomplete_and_stale_predictions_are_refused(world):
    run = world.runs("one", {}) / "fold_0"
    next((run / "predictions/oof").glob("*.prob")).unlink()
    with pytest.raises(FoldsegError, match="is not complete"):
        open_oof(run)
    run = world.runs("two", {}) / "fold_0"
    (run / "checkpoints/best.ckpt").write_bytes(b"newer weights")
    with pytest.raises(
        FoldsegError, match=r"oof: is stale, it was predicted with other weights; run foldseg predict again"
    ):
        open_oof(run)
    (run / "predictions/oof/store.json").unlink()
    with pytest.raises(FoldsegError, match=r"oof: has not been predicted yet; make it with foldseg predict"):
        open_oof(run)


def test_missing_label_maps_and_members_are_named(world):
    experiment = world.runs("one", {})
    world.submission([{"experiment": "one"}], {})
    folder = world.root / "subs/both"
    (folder / f"oof/{world.ids[2]}.png").unlink()
    with pytest.raises(FoldsegError, match=f"1 of 6 label maps are missing, e.g. {world.ids[2]}"):
        open_oof(folder)
    experiment.rename(world.root / "elsewhere")
    with pytest.raises(FoldsegError, match="no such experiment"):
        open_oof(folder)


def test_an_unknown_image_is_named(world):
    oof = open_oof(world.runs("one", {}))
    with pytest.raises(FoldsegError, match="has no OOF image nobody"):
        oof.truth("nobody")

"""The thresholds step from stores to a submission: nested on OOF, all of OOF for the test images."""

import json

import numpy as np
import orjson
import pandas as pd
import pytest

from foldseg.data.mask_files import read_mask
from foldseg.data.rle import decode_rle
from foldseg.data.signate import LABELS
from foldseg.ensemble.members import find_members
from foldseg.ensemble.run import EnsembleResult, predict_ensemble
from foldseg.ensemble.steps.thresholds import (
    count_at_thresholds,
    find_best_thresholds,
    threshold_labels,
    threshold_masks,
)
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.inference.map_file import quantise_array
from foldseg.report.tables import format_ensemble
from foldseg.scoring.candidates import select_candidates
from foldseg.scoring.counts import count_masks, count_pixels
from foldseg.scoring.scores import score
from foldseg.submission.signate_json import Submission
from made_up_members import mean_of
from tiny_demo import TinyDemo

SCORED = LABELS.select("scored")
SCORE = "image_mean_iou_present"
SIZE = (64, 96)


def run_with(demo: TinyDemo, categories: str, *more: str, name: str) -> EnsembleResult:
    steps = f"steps=[{{kind: thresholds, categories: {categories}}}]"
    return predict_ensemble(demo.ensemble(f"score={SCORE}", f"name={name}", steps, *more))


@pytest.fixture(scope="module")
def results(demo: TinyDemo) -> dict[str, EnsembleResult]:
    return {name: run_with(demo, name, name=name) for name in ("overlapping", "exclusive")}


def categories_of(result: EnsembleResult) -> dict:
    return result.scores["steps"]["blend + thresholds"]["categories"]


def jsonable(content: object) -> object:
    return json.loads(json.dumps(content))


def blended(members, name: str, split: str, fold: int | None = None) -> np.ndarray:
    stores = [store for part in members.sources(split, fold).values() for store in part]
    return quantise_array(mean_of([(store.read(name), 1.0) for store in stores]))


@pytest.mark.parametrize("categories", ["overlapping", "exclusive"])
def test_the_nested_score_can_be_recomputed_from_the_stores(demo: TinyDemo, results, categories: str):
    """Fit on one fold, segment the images of the other, count and score."""
    members = find_members(demo.config)
    rows = list(members.oof.itertuples())
    truths = [read_mask(demo.root / "city" / row.mask, SCORED) for row in rows]
    maps = [blended(members, row.id, "oof", int(row.fold)) for row in rows]
    folds = np.array([row.fold for row in rows])
    all_curves = np.stack([count_at_thresholds(t, m, SCORED, categories) for t, m in zip(truths, maps, strict=True)])
    counts = []
    for truth, planes, fold in zip(truths, maps, folds, strict=True):
        thresholds = find_best_thresholds(SCORE, all_curves[folds != fold], SCORED)
        if categories == "overlapping":
            counts.append(count_masks(truth, threshold_masks(planes, thresholds, SCORED)))
        else:
            counts.append(count_pixels(truth, threshold_labels(planes, thresholds, SCORED), len(SCORED)))
    nested = score(SCORE, np.stack(counts), SCORED).value
    for result in results.values():  # both settings are in the report, whichever is handed in
        assert categories_of(result)[categories]["nested"] == pytest.approx(nested, abs=1e-12)
    found = results[categories]
    assert found.scores["oof"]["blend + thresholds"][SCORE] == pytest.approx(nested, abs=1e-12)
    everything = find_best_thresholds(SCORE, all_curves, SCORED)
    same = score(SCORE, select_candidates(all_curves, everything, SCORED), SCORED).value
    assert categories_of(found)[categories]["same_oof"] == pytest.approx(same, abs=1e-12)


def test_the_submission_is_what_reaches_the_thresholds_of_all_oof_images(demo: TinyDemo, results):
    result, members = results["overlapping"], find_members(demo.config)
    submission = Submission(result.submission, SCORED)
    thresholds = np.array(list(categories_of(result)["overlapping"]["thresholds"].values()))
    overlap = 0
    for name in submission.names:
        masks = threshold_masks(blended(members, name, "test"), (thresholds * 255).round().astype(np.uint8), SCORED)
        for mask, runs in zip(masks, submission.read(name, SIZE), strict=True):
            assert np.array_equal(decode_rle(runs, SIZE), mask)
        overlap += int((masks.sum(0) > 1).sum())
    assert overlap > 0  # this network is unsure enough for that


def test_exclusive_categories_do_not_overlap(results):
    submission = Submission(results["exclusive"].submission, SCORED)
    for name in submission.names:
        assert sum(decode_rle(runs, SIZE).astype(int) for runs in submission.read(name, SIZE)).max() == 1


def test_the_ledger_and_score_json_hold_the_nested_score(demo: TinyDemo, results):
    ledger = pd.read_csv(demo.root / "submissions/ledger.csv").set_index("name")
    for categories, result in results.items():
        nested = categories_of(result)[categories]["nested"]
        assert ledger.loc[categories, "oof"] == pytest.approx(nested, abs=1e-6)
        assert ledger.loc[categories, "steps"] == f"thresholds:{categories}"
        assert read_json(result.folder / "score.json")["steps"] == jsonable(result.scores["steps"])
    overlapping = results["overlapping"].scores["oof"]["blend + thresholds"]
    assert "pixel_accuracy" not in overlapping
    assert list(overlapping["per_class"]) == ["car", "pedestrian", "lane", "signal"]
    assert "pixel_accuracy" in results["exclusive"].scores["oof"]["blend + thresholds"]


def test_the_table_shows_argmax_same_oof_and_nested(results):
    result = results["overlapping"]
    table = format_ensemble(result)
    found = categories_of(result)["overlapping"]
    assert found["argmax"] == result.scores["oof"]["blend"][SCORE]
    row = next(line for line in table.splitlines() if line.startswith("overlapping")).split()
    assert row[1:4] == [f"{found[key]:.4f}" for key in ("argmax", "same_oof", "nested")]


def test_kept_blends_are_removed(results):
    assert not any((result.folder / "work").exists() for result in results.values())


def test_two_processes_change_nothing(demo: TinyDemo, results):
    again = run_with(demo, "overlapping", "workers=2", name="two_workers")
    assert again.submission.read_bytes() == results["overlapping"].submission.read_bytes()
    assert again.scores == results["overlapping"].scores


@pytest.mark.parametrize("categories", ["overlapping", "exclusive"])
def test_clean_up_follows_thresholds(demo: TinyDemo, results, categories: str):
    """Every category of an overlapping submission is cleaned by itself."""
    steps = f"steps=[{{kind: thresholds, categories: {categories}}}, {{kind: clean_up, min_area: 12}}]"
    result = predict_ensemble(demo.ensemble(f"score={SCORE}", "name=cleaned", steps))
    assert list(result.scores["oof"])[-2:] == ["blend + thresholds", "blend + thresholds + clean_up"]
    assert result.scores["oof"]["blend + thresholds"] == results[categories].scores["oof"]["blend + thresholds"]
    before = orjson.loads(results[categories].submission.read_bytes())
    after = orjson.loads(result.submission.read_bytes())
    assert before != after


def test_one_fold_is_scored_by_its_groups(demo: TinyDemo):
    result = run_with(demo, "overlapping", "folds=[0]", "members=[{experiment: toy_full}]", name="one_fold")
    assert 0 < categories_of(result)["overlapping"]["nested"] < 1
    assert categories_of(result)["overlapping"]["nested"] != categories_of(result)["overlapping"]["same_oof"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ["score=dataset_miou"],
            "for score dataset_miou, which depends on classes that are not scored.*; use one of dataset_miou_scored, ",
        ),
        (
            ["score=pixel_accuracy"],
            "for score pixel_accuracy, which does not fall if a class is predicted for too many",
        ),
        (
            ["steps=[thresholds, {kind: clean_up, min_area: 4, classes: [background]}]"],
            "background is not scored, and where categories overlap",
        ),
    ],
)
def test_thresholds_that_cannot_be_are_refused(demo: TinyDemo, more: list[str], says: str):
    settings = [f"score={SCORE}", "steps=[thresholds]", "name=refused", *more]
    with pytest.raises(FoldsegError, match=says):
        predict_ensemble(demo.ensemble(*settings))

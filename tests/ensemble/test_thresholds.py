"""Thresholds: exact, generic over scores and classes, and scored on images that they were not fitted on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.config.schema import MeanBlend, ThresholdStep
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.ensemble.fitting import fit_step, nested_parts
from foldseg.ensemble.prediction import EnsembleSpec, find_best_unscored, flatten_masks
from foldseg.ensemble.steps.thresholds import (
    ThresholdOperation,
    count_at_thresholds,
    find_best_thresholds,
    possible_categories,
    threshold_labels,
    threshold_masks,
)
from foldseg.errors import FoldsegError
from foldseg.scoring.candidates import select_candidates
from foldseg.scoring.counts import count_masks, count_pixels
from foldseg.scoring.scores import FOR_THRESHOLDS, score

SCORES = FOR_THRESHOLDS
CATEGORIES = ("overlapping", "exclusive")
OVERLAPPING, EXCLUSIVE = CATEGORIES
VALUES = [0, 1, 60, 61, 120, 128, 200, 254, 255]


def spec_of(score: str) -> EnsembleSpec:
    return EnsembleSpec(("a",), np.ones(1), MeanBlend(), LABELS, score)


def label_set(classes: int, scored: list[int]) -> LabelSet:
    return LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,), scored=i in scored) for i in range(classes)))


LABELS = label_set(4, [1, 3])


def scene(
    rng: np.random.Generator, labels: LabelSet, size: tuple[int, int] = (5, 6), help_of_truth: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Truth with a little void, and maps of few values, so that many are equal to a threshold or to each other."""
    truth = rng.integers(0, len(labels), size, dtype=np.uint8)
    truth[rng.random(size) < 0.1] = 255
    maps = rng.choice(VALUES, (len(labels), *size)).astype(np.uint8)
    maps[truth % len(labels), np.arange(size[0])[:, None], np.arange(size[1])] |= help_of_truth  # better than chance
    return truth, maps


@given(st.integers(0, 2**32), st.sampled_from([(2, [1]), (4, [1, 3]), (5, [0, 1, 2, 4]), (21, [0, 3, 20])]))
def test_curves_are_the_counts_of_images_segmented_at_every_threshold(seed, classes) -> None:
    labels = label_set(*classes)
    truth, maps = scene(np.random.default_rng(seed), labels)
    found = {categories: count_at_thresholds(truth, maps, labels, categories)[None] for categories in CATEGORIES}
    for threshold in {1, 255} | set(VALUES[1:]):
        same = np.full(len(classes[1]), threshold, np.uint8)
        masks = count_masks(truth, threshold_masks(maps, same, labels))
        exclusive = count_pixels(truth, threshold_labels(maps, same, labels), len(labels))
        assert select_candidates(found[OVERLAPPING], same, labels)[0][classes[1]].tolist() == masks[classes[1]].tolist()
        assert (
            select_candidates(found[EXCLUSIVE], same, labels)[0][classes[1]].tolist() == exclusive[classes[1]].tolist()
        )


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("categories", CATEGORIES)
def test_no_other_thresholds_score_higher(name: str, categories: str) -> None:
    """All pairs of thresholds that differ on these maps, by segmenting every image again."""
    rng = np.random.default_rng(4)
    scenes = [scene(rng, LABELS, help_of_truth=help_of_truth) for help_of_truth in [64, 192] * 4]
    images = np.stack([count_at_thresholds(*one, LABELS, categories) for one in scenes])

    def segmented(pair: np.ndarray) -> float:
        if categories == OVERLAPPING:
            counts = [count_masks(truth, threshold_masks(maps, pair, LABELS)) for truth, maps in scenes]
        else:
            counts = [count_pixels(truth, threshold_labels(maps, pair, LABELS), 4) for truth, maps in scenes]
        return score(name, np.stack(counts), LABELS).value  # type: ignore[arg-type]

    best = find_best_thresholds(name, images, LABELS)  # type: ignore[arg-type]
    levels = sorted({int(v) for _, maps in scenes for v in np.unique(maps)} - {0})
    every = [segmented(np.array([a, b], np.uint8)) for a in levels for b in levels]
    assert segmented(best) == pytest.approx(max(every), abs=1e-12)
    assert min(every) < max(every)


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    """Class 1 is 200 where it is, and 99 elsewhere: 100 to 200 are perfect."""
    truth = np.array([[1, 1, 0, 0]], np.uint8)
    maps = np.zeros((4, 1, 4), np.uint8)
    maps[1] = [200, 200, 99, 99]
    assert (
        find_best_thresholds(
            "image_mean_iou_present", count_at_thresholds(truth, maps, LABELS, OVERLAPPING)[None], LABELS
        )[0]
        == 150
    )


def test_a_class_without_truth_teaches_an_images_score_nothing_and_a_sets_score_to_leave_it_out() -> None:
    """Predicted nowhere, a class is left out of a set's mean; one pixel of it would bring an IoU of 0 into the mean."""
    truth = np.zeros((2, 2), np.uint8)
    maps = np.full((4, 2, 2), 199, np.uint8)
    images = count_at_thresholds(truth, maps, LABELS, OVERLAPPING)[None]
    assert find_best_thresholds("image_mean_iou_present", images, LABELS).tolist() == [128, 128]
    assert find_best_thresholds("dataset_miou_scored", images, LABELS).tolist() == [
        228,
        228,
    ]  # the middle of 200 to 255
    maps[:] = 255
    full = count_at_thresholds(truth, maps, LABELS, OVERLAPPING)[None]
    assert find_best_thresholds("dataset_miou_scored", full, LABELS).tolist() == [128, 128]  # nothing helps


def test_exclusive_wants_a_class_to_fall_back_on() -> None:
    assert possible_categories(LABELS) == CATEGORIES
    assert possible_categories(label_set(2, [0, 1])) == ("overlapping",)


def test_nested_thresholds_do_not_see_the_part_they_are_scored_on() -> None:
    """Changing the maps of one part changes the thresholds of the others, never its own."""
    truth = np.array([[1, 1, 3, 3, 0, 0]], np.uint8)
    parts = np.array([0, 0, 1, 1, 2, 2, 2, 1])

    def fitted(changed: bool):
        maps = np.where(truth == np.arange(4)[:, None, None], 100, 40).astype(np.uint8)
        of_images = [maps * 2 if changed and part == 1 else maps for part in parts]
        observations = [
            {kind: count_at_thresholds(truth, maps, LABELS, kind) for kind in CATEGORIES} for maps in of_images
        ]
        before = np.zeros((len(parts), 4, 3), np.int64)
        return fit_step(ThresholdStep(), observations, parts, before, spec_of("image_mean_iou_present"))

    before, after = fitted(False), fitted(True)
    same = [np.array_equal(before.without[part]["thresholds"], after.without[part]["thresholds"]) for part in range(3)]
    assert same == [False, True, False]
    assert not np.array_equal(before.on_all["thresholds"], after.on_all["thresholds"])


def test_report_scores_where_it_was_fitted_and_where_not() -> None:
    rng = np.random.default_rng(2)
    scenes = [scene(rng, LABELS, (9, 9)) for _ in range(10)]
    observations = [{c: count_at_thresholds(*one, LABELS, c) for c in CATEGORIES} for one in scenes]
    parts = np.arange(10) % 3
    before = np.stack([count_pixels(truth, maps.argmax(0).astype(np.uint8), 4) for truth, maps in scenes])
    operation, spec = ThresholdOperation(ThresholdStep()), spec_of("dataset_miou_scored")
    report = operation.compare_alternatives(observations, parts, before, spec)["categories"]
    for categories in CATEGORIES:
        images = np.stack([one[categories] for one in observations])
        nested = np.stack(
            [find_best_thresholds("dataset_miou_scored", images[parts != part], LABELS) for part in parts]
        )
        same = find_best_thresholds("dataset_miou_scored", images, LABELS)
        for key, thresholds in (("same_oof", same), ("nested", nested)):
            counts = select_candidates(images, thresholds, LABELS)
            assert report[categories][key] == score("dataset_miou_scored", counts, LABELS).value
        assert report[categories]["argmax"] == score("dataset_miou_scored", before, LABELS).value
        assert list(report[categories]["thresholds"]) == ["c1", "c3"]
        assert all(0 < value <= 1 for value in report[categories]["thresholds"].values())


def test_parts_are_the_folds_or_the_groups_of_the_only_fold() -> None:
    assert nested_parts([4, 2, 4], ["a", "b", "c"]).tolist() == [1, 0, 1]
    groups = [f"g{i // 3}" for i in range(30)]
    parts = nested_parts([0] * 30, groups)
    assert sorted(set(parts)) == [0, 1, 2, 3, 4]
    assert all(len({p for p, g in zip(parts, groups, strict=True) if g == group}) == 1 for group in set(groups))
    with pytest.raises(FoldsegError, match=r"steps: all OOF images are of one group"):
        nested_parts([0, 0], ["a", "a"])


def test_exclusive_gives_what_is_below_to_the_best_class_that_is_not_scored() -> None:
    maps = np.array([[[10, 10, 90]], [[100, 99, 100]], [[20, 20, 30]], [[0, 100, 100]]], np.uint8)
    found = threshold_labels(maps, np.array([100, 101], np.uint8), LABELS)
    assert found.tolist() == [[1, 2, 1]]  # the second is class 3 below its threshold; the third is a tie


def test_overlapping_masks_as_labels_show_the_most_probable_category() -> None:
    maps = np.array([[[200, 10]], [[100, 99]], [[20, 20]], [[101, 0]]], np.uint8)
    masks = threshold_masks(maps, np.array([100, 100], np.uint8), LABELS)
    assert masks[:, 0].tolist() == [[False, False], [True, False], [False, False], [True, False]]
    assert flatten_masks(masks, maps, LABELS).tolist() == [[3, 2]]
    assert find_best_unscored(maps, LABELS).tolist() == [[0, 2]]
    filled = np.zeros((4, 1, 2), bool)
    filled[3] = True  # as clean_up fills a hole, where the class itself has no probability
    assert flatten_masks(filled, np.zeros_like(maps), LABELS).tolist() == [[3, 3]]

"""What every score promises."""

import numpy as np
import pytest

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.counts import TRUTH, count_pixels
from foldseg.scoring.scores import SCORES, check_score, class_ratios, score
from foldseg.scoring.trial import depends_on_scored_alone, falls_by_excess, find_fault, has_term_per_class

LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,), scored=i > 0) for i in range(4)))
every_score = pytest.mark.parametrize("name", SCORES)


def random_masks(seed: int, images: int = 5) -> np.ndarray:
    """(images, 6, 8) uint8 class indices, with void."""
    masks = np.random.default_rng(seed).integers(0, 5, (images, 6, 8), dtype=np.uint8)
    return np.where(masks == 4, 255, masks).astype(np.uint8)


def count(truths: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.stack([count_pixels(t, p, len(LABELS)) for t, p in zip(truths, predictions, strict=True)])


@every_score
def test_a_score_is_between_0_and_1_and_a_perfect_prediction_has_1(name: ScoreName) -> None:
    truths = random_masks(0)
    for seed in range(20):
        found = score(name, count(truths, random_masks(seed) % 4), LABELS)
        assert 0 <= found.value <= 1
        assert all(np.isnan(value) or 0 <= value <= 1 for value in found.per_class.values())
    assert score(name, count(truths, truths % 4), LABELS).value == 1


@every_score
def test_a_prediction_that_is_wrong_everywhere_has_0(name: ScoreName) -> None:
    truths = random_masks(0) % 4
    assert score(name, count(truths, (truths + 1) % 4), LABELS).value == 0


@every_score
def test_nothing_but_void_has_no_score_unless_nothing_is_right(name: ScoreName) -> None:
    void = np.full((2, 6, 8), 255, np.uint8)
    value = score(name, count(void, random_masks(0, 2) % 4), LABELS).value
    assert np.isnan(value) or (SCORES[name].if_both_empty == "right" and value == 1)


@every_score
def test_a_score_is_made_of_sums_over_images(name: ScoreName) -> None:
    """So the order of images does not matter, and all images twice are worth the same."""
    table = count(random_masks(0), random_masks(1) % 4)
    value = score(name, table, LABELS).value
    assert score(name, table[::-1], LABELS).value == pytest.approx(value)
    assert score(name, np.concatenate([table, table]), LABELS).value == pytest.approx(value)


@every_score
def test_every_class_has_a_value_of_its_own(name: ScoreName) -> None:
    table = count(random_masks(0), random_masks(1) % 4)
    assert (table[..., TRUTH].sum(0) > 0).all()
    assert list(score(name, table, LABELS).per_class) == LABELS.names
    assert class_ratios(name, table).terms(np.ones((1, len(table)))).shape == (1, len(LABELS))


@every_score
def test_a_score_of_scored_classes_does_not_see_the_others(name: ScoreName) -> None:
    table = count(random_masks(0), random_masks(1) % 4)
    other = table.copy()
    other[:, 0] //= 2
    check_score(name, LABELS, "score")
    is_same = score(name, other, LABELS).value == score(name, table, LABELS).value
    assert is_same or SCORES[name].classes == "all"


@every_score
def test_an_image_without_a_class_counts_what_the_definition_says(name: ScoreName) -> None:
    """Image 1 has class 1, half of which is found. Image 2 has nothing but class 0, and is predicted so."""
    one = LabelSet(LABELS.classes[:2])
    table = np.array([[[6, 6, 8], [2, 4, 2]], [[10, 10, 10], [0, 0, 0]]])
    found, empty = (score(name, part, one).per_class["c1"] for part in (table[:1], table[1:]))
    both = score(name, table, one).per_class["c1"]
    if SCORES[name].if_both_empty == "right":
        assert empty == 1 and both == pytest.approx((found + 1) / 2)
    else:
        assert np.isnan(empty) and both == found


@every_score
def test_a_definition_states_what_a_trial_finds(name: ScoreName) -> None:
    """Scores of one's own are not asked for these: they are found in the same way."""
    definition = SCORES[name]
    assert find_fault(definition.ratios) is None
    assert (definition.classes == "scored") == depends_on_scored_alone(definition.ratios)
    assert definition.has_term_per_class == has_term_per_class(definition.ratios)
    assert definition.counts_excess == falls_by_excess(definition.ratios)

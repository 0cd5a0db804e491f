"""Choosing candidates by a score: against all choices, counted one by one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.candidates import choose_candidates, score_candidates, select_candidates
from foldseg.scoring.scores import FOR_THRESHOLDS, SCORES, score

LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,), scored=i > 0) for i in range(3)))


def random_curves(seed: int, images: int = 4, number: int = 5) -> np.ndarray:
    """(images, 2, number, 3): shared, truth, prediction; the same truth for all candidates, and some empty ones."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 9, (images, 2, 1)) * rng.integers(0, 2, (images, 2, 1))
    predicted = rng.integers(0, 9, (images, 2, number)) * rng.integers(0, 2, (images, 2, number))
    shared = np.minimum(rng.integers(0, 9, predicted.shape), np.minimum(truth, predicted))
    return np.stack([shared, np.broadcast_to(truth, predicted.shape), predicted], -1)


@pytest.mark.parametrize("name", SCORES)
def test_candidates_are_scored_one_by_one(name: ScoreName) -> None:
    counts = np.random.default_rng(0).integers(1, 9, (7, 4, 3, 3))
    counts[..., 0] = counts.min(-1)
    expected = [score(name, of_candidate, LABELS).value for of_candidate in counts]
    assert score_candidates(name, counts, LABELS).tolist() == expected
    assert score_candidates(name, counts[:0], LABELS).shape == (0,)


@pytest.mark.parametrize("name", FOR_THRESHOLDS)
@given(seed=st.integers(0, 2**32))
def test_no_other_choice_scores_higher(name: ScoreName, seed: int) -> None:
    curves = random_curves(seed)
    every = np.stack([select_candidates(curves, np.array(pair), LABELS) for pair in product(range(5), repeat=2)])
    best = np.nanmax(score_candidates(name, every, LABELS), initial=-np.inf)
    chosen = score_candidates(
        name, select_candidates(curves, choose_candidates(name, curves, LABELS), LABELS)[None], LABELS
    )
    if np.isfinite(best) and not np.isnan(chosen[0]):
        assert chosen[0] == pytest.approx(best)


@given(seed=st.integers(0, 2**32))
def test_in_turns_a_score_is_as_high_as_class_by_class_if_classes_do_not_meet(seed: int) -> None:
    curves = random_curves(seed)
    name: ScoreName = "image_mean_dice"
    exact = select_candidates(curves, choose_candidates(name, curves, LABELS), LABELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCORES, name, replace(SCORES[name], has_term_per_class=False))
        in_turns = select_candidates(curves, choose_candidates(name, curves, LABELS), LABELS)
    assert score(name, in_turns, LABELS).value == pytest.approx(score(name, exact, LABELS).value)


def test_of_equally_good_candidates_the_middle_one_is_chosen() -> None:
    curves = np.zeros((1, 2, 7, 3), np.int64)
    curves[0, :, 1:6] = 4, 4, 4
    curves[0, :, [0, 6]] = 2, 4, 2
    assert choose_candidates("image_mean_dice", curves, LABELS).tolist() == [3, 3]

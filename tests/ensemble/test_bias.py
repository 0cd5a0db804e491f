"""Factors per class: exact counts for every factor, and what they are good for."""

import numpy as np
import pytest

from foldseg.config.schema import BiasStep
from foldseg.ensemble.sample import PixelSample
from foldseg.ensemble.steps.bias import BiasOperation, _counts_at
from foldseg.scoring.counts import count_pixels
from made_up_members import CLASSES, LABELS, blended, context_of, member_of, spec_of, truth_of

OPERATION = BiasOperation(BiasStep(limit=8.0))


def observe(images: int = 5, most: int = 1 << 20):
    truths = [truth_of(i) for i in range(images)]
    maps = [member_of(t, i, 0.35) for i, t in enumerate(truths)]
    kept = [blended(context_of(f"im{i}", [m]), np.ones(1)).rounded() for i, m in enumerate(maps)]
    context = context_of("im", [])
    observed = [OPERATION.observe(p, truth, context, most) for p, truth in zip(kept, truths, strict=True)]
    return truths, kept, observed


def counted(truths, results, factors: np.ndarray) -> np.ndarray:
    """Slow: multiply and take the argmax, image by image."""
    scale = factors[:, None, None].astype(np.float32)
    labels = [(result.maps.astype(np.float32) * scale).argmax(0).astype(np.uint8) for result in results]
    return np.stack([count_pixels(truth, mask, CLASSES) for truth, mask in zip(truths, labels, strict=True)])


@pytest.mark.parametrize("index", range(CLASSES))
def test_counts_at_every_factor_are_those_of_multiplied_maps(index: int) -> None:
    truths, results, observed = observe()
    sample = PixelSample.of(observed)
    assert sample.is_exact
    levels = np.geomspace(1 / 8, 8, 9).astype(np.float32)
    factors = np.array([1.0, 0.5, 2.0, 1.25], np.float32)
    values = np.ascontiguousarray(sample.vectors.T).astype(np.float32)
    found = _counts_at(sample, values, factors, index, levels)
    for level, counts in zip(levels, found, strict=True):
        changed = factors.copy()
        changed[index] = level
        assert counts.tolist() == counted(truths, results, changed).tolist()


def test_fitted_factors_score_higher_and_no_single_change_scores_higher_still() -> None:
    truths, results, observed = observe()
    spec = spec_of(1)
    factors = OPERATION.fit(observed, spec)["factors"]
    best = spec.value(counted(truths, results, factors))
    assert best > spec.value(counted(truths, results, np.ones(CLASSES))) + 0.005
    for index in range(CLASSES):
        for change in (0.8, 1.25):
            other = factors.copy()
            other[index] *= change
            assert spec.value(counted(truths, results, other)) <= best + 0.003
    applied = OPERATION.apply(results[0], context_of("im", []), {"factors": factors})
    assert (applied.labels == (results[0].maps * factors[:, None, None]).argmax(0)).mean() > 0.999
    assert applied.probabilities.sum(0) == pytest.approx(np.ones(truths[0].shape), abs=1e-5)
    assert set(OPERATION.describe({"factors": factors}, spec)) == set(LABELS.names)


def test_pixels_that_no_factor_can_change_are_not_kept() -> None:
    truths, results, observed = observe(1)
    maps = results[0].maps
    two = np.sort(maps, 0)[-2:].astype(float)
    can = (two[0] * 64 >= two[1]) & (truths[0] != 255)
    assert len(observed[0]["truth"]) == can.sum() < truths[0].size


def test_a_sample_scores_about_what_all_pixels_do() -> None:
    truths, results, observed = observe(most=CLASSES * 60)
    sample = PixelSample.of(observed)
    assert not sample.is_exact and len(sample.truth) <= 5 * 60
    exact = spec_of(1).value(counted(truths, results, np.ones(CLASSES)))
    assert spec_of(1).value(sample.counts(sample.vectors.argmax(1).astype(np.uint8))) == pytest.approx(exact, abs=0.06)


def test_a_class_that_nothing_has_does_no_harm() -> None:
    _, _, observed = observe(2)
    for one in observed:
        one["vectors"][:, 3] = 0
    factors = OPERATION.fit(observed, spec_of(1))["factors"]
    assert np.isfinite(factors).all()

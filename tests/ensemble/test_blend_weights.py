"""Weights: what a trial says is what blending would; searches find what is there, and keep to what is proven."""

import numpy as np
import pytest

from foldseg.config.schema import BiasStep, Blend, HillClimbing, MeanBlend, WeightSearch, WeightsStep
from foldseg.ensemble.disagreement import MemberSample, observe_members
from foldseg.ensemble.fitting import fit_step, is_worth_taking
from foldseg.ensemble.steps.weights import WeightsOperation
from foldseg.ensemble.tables import member_worth
from foldseg.scoring.compare import Comparison, compare_models
from foldseg.scoring.counts import count_pixels
from made_up_members import LABELS, blended, context_of, member_of, spec_of, truth_of

MUCH = 1 << 22


def ensemble(skills: list[float], images: int = 6, blend: Blend | None = None, seed: int = 0):
    """Truths, and a context of each image with one member per skill."""
    truths = [truth_of(seed + i) for i in range(images)]
    contexts = [
        context_of(f"im{i}", [member_of(t, 100 * i + m + 7 * seed, s) for m, s in enumerate(skills)], blend)
        for i, t in enumerate(truths)
    ]
    return truths, contexts


def observe(truths, contexts, members: int, most: int = MUCH, per_class: bool = False):
    even = np.ones(members)
    return [
        observe_members(context, blended(context, even).labels, truth, most, per_class)
        for truth, context in zip(truths, contexts, strict=True)
    ]


def counted(truths, contexts, weights) -> np.ndarray:
    return np.stack(
        [count_pixels(t, blended(s, weights).labels, len(LABELS)) for t, s in zip(truths, contexts, strict=True)]
    )


BLENDS = [*(kind() for kind in Blend.kinds().values()), MeanBlend(union=("c3", "c1"))]


@pytest.mark.parametrize("blend", BLENDS, ids=lambda b: b.kind + "".join(b.union))
@pytest.mark.parametrize("weights", [[1, 1, 1], [0.7, 0.2, 0.1], [0, 1, 2], [0, 0, 1]])
def test_a_trial_counts_what_blending_the_images_would(blend: Blend, weights: list[float]) -> None:
    truths, contexts = ensemble([0.4, 0.3, 0.5], blend=blend)
    sample = MemberSample(observe(truths, contexts, 3), spec_of(3, blend))
    assert sample.pixels.is_exact
    used = [i for i, w in enumerate(weights) if w]
    only = [context_of(s.id, [list(s.read_members())[i] for i in used], blend) for s in contexts]
    found = sample.counts(np.array(weights, float))
    assert found.tolist() == counted(truths, only, np.array(weights, float)[used]).tolist()


def test_a_trial_of_weights_per_class_counts_what_blending_would() -> None:
    truths, contexts = ensemble([0.4, 0.3, 0.5])
    sample = MemberSample(observe(truths, contexts, 3, per_class=True), spec_of(3))
    for seed in range(5):
        weights = np.random.default_rng(seed).dirichlet([0.5] * 3, len(LABELS)).T
        assert sample.counts(weights).tolist() == counted(truths, contexts, weights).tolist()


def test_fewer_pixels_are_kept_than_there_are_and_they_stand_for_all() -> None:
    truths, contexts = ensemble([0.4, 0.3, 0.5], images=8)
    exact = MemberSample(observe(truths, contexts, 3), spec_of(3))
    sampled = MemberSample(observe(truths, contexts, 3, most=12 * 40), spec_of(3))
    assert not sampled.pixels.is_exact
    assert len(sampled.pixels.truth) <= 8 * 40
    assert sampled.pixels.stands_for.sum() == pytest.approx(len(exact.pixels.truth))
    assert len(exact.pixels.truth) < sum((t != 255).sum() for t in truths), "where all agree nothing is kept"
    for weights in np.eye(3):
        assert sampled.value(weights) == pytest.approx(exact.value(weights), abs=0.06)


@pytest.mark.parametrize("search", ["hill_climbing", "continuous"])
def test_a_search_finds_the_member_that_knows_something(search: str) -> None:
    truths, contexts = ensemble([0.05, 0.75, 0.05])
    found = WeightsOperation(WeightsStep(search=WeightSearch.parse(search))).fit(
        observe(truths, contexts, 3), spec_of(3)
    )["weights"]
    assert found.sum() == pytest.approx(1)
    assert int(found.argmax()) == 1
    spec = spec_of(3)
    assert spec.value(counted(truths, contexts, found)) > spec.value(counted(truths, contexts, np.ones(3))) + 0.02


def test_hill_climbing_is_the_slow_search() -> None:
    truths, contexts = ensemble([0.3, 0.45, 0.35, 0.1])
    spec = spec_of(4)

    def value(times: np.ndarray) -> float:
        return spec.value(counted(truths, contexts, times))

    times, best, best_value = np.zeros(4), np.ones(4) / 4, value(np.ones(4) / 4)
    for _ in range(8):
        trials = [times + one for one in np.eye(4)]
        values = [value(t) for t in trials]
        times = trials[int(np.argmax(values))]
        if max(values) > best_value + 1e-9:
            best, best_value = times / times.sum(), max(values)
    found = WeightsOperation(WeightsStep(search=HillClimbing(rounds=8))).fit(observe(truths, contexts, 4), spec)[
        "weights"
    ]
    assert found == pytest.approx(best)


def test_a_member_that_is_good_at_one_class_gets_more_of_that_class() -> None:
    truths = [truth_of(i) for i in range(6)]
    contexts = []
    for i, truth in enumerate(truths):
        one, other = member_of(truth, i, 0.3), member_of(truth, 50 + i, 0.1)
        other[3] = np.where(truth == 3, 255, 0)  # it knows the rare class, and nothing else
        contexts.append(context_of(f"im{i}", [one, other]))
    observed = observe(truths, contexts, 2, per_class=True)
    shared = WeightsOperation(WeightsStep()).fit(observed, spec_of(2))["weights"]
    found = WeightsOperation(WeightsStep(per_class=True)).fit(observed, spec_of(2))["weights"]
    assert found.sum(0) == pytest.approx(np.ones(len(LABELS)))
    assert found[1, 3] > found[1, :3].max()
    spec = spec_of(2)
    assert spec.value(counted(truths, contexts, found)) > spec.value(counted(truths, contexts, shared))
    names = WeightsOperation(WeightsStep()).describe({"weights": found}, spec)
    assert names["b"]["c3"] == pytest.approx(found[1, 3], abs=1e-4)


@pytest.mark.parametrize(("skills", "taken"), [([0.05, 0.75, 0.05], True), ([0.4, 0.4, 0.4], False)])
def test_weights_are_taken_only_if_their_nested_gain_is_above_noise(skills: list[float], taken: bool) -> None:
    truths, contexts = ensemble(skills, images=12)
    observed, parts = observe(truths, contexts, 3), np.arange(12) % 3
    spec, settings = spec_of(3), WeightsStep()
    before = counted(truths, contexts, np.ones(3))
    fitted = fit_step(settings, observed, parts, before, spec)
    assert fitted.description["pixels"] == "all"
    nested = np.empty((12, len(LABELS), 3), np.int64)
    for part, params in fitted.without.items():
        own = np.flatnonzero(parts == part)
        nested[own] = counted([truths[i] for i in own], [contexts[i] for i in own], params["weights"])
    gain = compare_models(spec.score, nested, before, LABELS, np.arange(12), 200)
    assert is_worth_taking(settings, gain) == taken == (gain.interval[0] > 0)


@pytest.mark.parametrize(
    ("interval", "must_gain", "otherwise"),
    [
        ((-0.2, -0.1), False, False),
        ((-0.1, 0.2), False, True),
        ((0.1, 0.2), True, True),
        ((np.nan, np.nan), False, True),
    ],
)
def test_a_step_is_left_out_for_a_loss_above_noise(interval, must_gain: bool, otherwise: bool) -> None:
    gain = Comparison(float(np.mean(interval)), interval, 0.5)
    assert is_worth_taking(WeightsStep(), gain) == must_gain
    assert is_worth_taking(BiasStep(), gain) == otherwise


def test_what_a_member_is_worth_is_what_blending_without_it_loses() -> None:
    from foldseg.config.schema import Ensemble

    truths, contexts = ensemble([0.5, 0.3, 0.1])
    config = Ensemble(name="e", members=tuple({"experiment": name} for name in "abc"), bootstrap_samples=100)
    found = member_worth(config, observe(truths, contexts, 3), spec_of(3), np.arange(6))
    spec = spec_of(3)
    whole = spec.value(counted(truths, contexts, np.ones(3)))
    for index, name in enumerate("abc"):
        rest = [context_of(s.id, [m for i, m in enumerate(s.read_members()) if i != index]) for s in contexts]
        assert found["removing"][name]["loss"] == pytest.approx(whole - spec.value(counted(truths, rest, np.ones(2))))
    assert found["removing"]["a"]["loss"] > found["removing"]["c"]["loss"]
    tops = [[m.argmax(0)[t != 255] for m in s.read_members()] for t, s in zip(truths, contexts, strict=True)]
    same = np.mean(np.concatenate([a == c for a, _, c in tops]))
    assert found["agreement"]["a"]["c"] == pytest.approx(same, abs=1e-6)
    assert found["agreement"]["b"]["b"] == 1

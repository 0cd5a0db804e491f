"""Standard errors and intervals against slow and obvious versions; test_coverage.py says whether they are honest."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.scoring.intervals import Ratios, Resampled, resample

NAN = math.nan


def random_ratios(units: int, terms: int, seed: int, spread: float = 0.4) -> Ratios:
    """Numerators below denominators; a tenth of the units do not have a term."""
    rng = np.random.default_rng(seed)
    below = rng.uniform(50, 150, (units, terms)) * (rng.random((units, terms)) < 0.9)
    return Ratios(below * rng.uniform(0.5 - spread, 0.5 + spread, (units, terms)), below)


def test_a_score_by_hand() -> None:
    """Terms: (1 + 3) / (2 + 4), nothing, (0 + 1) / (1 + 1); the second is left out."""
    ratios = Ratios(np.array([[1.0, 0, 0], [3, 0, 1]]), np.array([[2.0, 0, 1], [4, 0, 1]]))
    assert ratios.terms(np.ones((1, 2)))[0].tolist() == pytest.approx([2 / 3, NAN, 1 / 2], nan_ok=True)
    assert ratios.values(np.array([[1.0, 1], [2, 0], [0, 0]])).tolist() == pytest.approx(
        [(2 / 3 + 1 / 2) / 2, (1 / 2 + 0) / 2, NAN], nan_ok=True
    )


def test_groups_are_sums_in_order_of_their_names() -> None:
    ratios = Ratios(np.array([[1.0], [2], [4]]), np.array([[8.0], [16], [32]]))
    found = ratios.by_group(np.array(["b", "a", "b"]))
    assert found.numerators.tolist() == [[2], [5]]
    assert found.denominators.tolist() == [[16], [40]]


@given(seed=st.integers(0, 99), terms=st.integers(1, 4))
def test_influences_are_derivatives(seed: int, terms: int) -> None:
    """Against a finite difference in every unit's weight."""
    ratios = random_ratios(5, terms, seed)
    weights = np.random.default_rng(seed).integers(0, 3, (1, 5)).astype(np.float64)
    weights[0, 0] += 1
    values, influences = ratios.linearise(weights)
    assert values == pytest.approx(ratios.values(weights), nan_ok=True)
    known = ~np.isnan(ratios.terms(weights)[0])
    seen = Ratios(ratios.numerators[:, known], ratios.denominators[:, known])  # a term may not appear by the step
    step = 1e-6
    for unit in range(5):
        above, below = weights.copy(), weights.copy()
        above[0, unit] += step
        below[0, unit] -= step
        slope = (seen.values(above) - seen.values(below)) / (2 * step)
        assert influences[0, unit] == pytest.approx(float(slope[0]), abs=1e-7)


def test_the_standard_error_is_nearly_the_jackknifes() -> None:
    """Leave out one group after the other and score again."""
    ratios, groups = random_ratios(200, 3, seed=0), np.arange(200) // 5
    found = resample(ratios, groups, 10, seed=0)
    values = [ratios.only(groups != group).values(np.ones((1, 195)))[0] for group in range(40)]
    jackknife = math.sqrt(39 / 40 * ((np.array(values) - np.mean(values)) ** 2).sum())
    assert found.error == pytest.approx(jackknife, rel=0.05)


def test_for_many_groups_the_interval_is_the_normal_one() -> None:
    found = resample(random_ratios(2000, 1, seed=0), np.arange(2000), 2000, seed=0)
    low, high = found.interval()
    assert (found.value - low, high - found.value) == pytest.approx([1.96 * found.error] * 2, rel=0.08)
    assert np.diff(found.interval(0.8)) < 0.7 * (high - low)


def test_a_difference_is_a_score_minus_another_of_the_same_draws() -> None:
    first, second = random_ratios(12, 2, seed=0), random_ratios(12, 2, seed=1)
    groups = np.arange(12) // 2
    a, b = resample(first, groups, 50, seed=3), resample(second, groups, 50, seed=3)
    found = resample(first, groups, 50, seed=3, minus=second)
    assert found.value == a.value - b.value
    assert found.values == pytest.approx(a.values - b.values)
    back = resample(second, groups, 50, seed=3, minus=first)
    assert back.interval() == pytest.approx((-found.interval()[1], -found.interval()[0]))
    assert back.probability() == pytest.approx(1 - found.probability())


@pytest.mark.parametrize(
    ("groups", "expected"),
    [([0, 0, 0, 0], (NAN, NAN)), ([0, 0, 1, 1], (0.0, 1.0)), ([0, 0, 1, 2], (0.0, 1.0))],
)
def test_with_hardly_any_groups_hardly_anything_is_known(groups: list[int], expected: tuple[float, float]) -> None:
    found = resample(random_ratios(4, 1, seed=0), np.array(groups), 500, seed=0)
    assert 0 < found.value < 1
    assert found.interval() == pytest.approx(expected, nan_ok=True)
    assert math.isnan(found.probability()) == math.isnan(expected[0])


def test_groups_without_any_part_in_the_score_do_not_count() -> None:
    """A class that is in one drive of twenty: nothing is known of how well it would be found in another."""
    numerators, denominators = np.zeros((20, 1)), np.zeros((20, 1))
    numerators[3], denominators[3] = 1, 2
    found = resample(Ratios(numerators, denominators), np.arange(20), 100, seed=0)
    assert found.value == 0.5
    assert np.isnan(found.interval()).all()
    nothing = resample(Ratios(numerators * 0, denominators * 0), np.arange(20), 100, seed=0)
    assert np.isnan([nothing.value, *nothing.interval(), nothing.probability()]).all()


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, NAN), (0.25, 0.25), (1.0, NAN)])
def test_what_is_the_same_everywhere_has_no_spread(ratio: float, expected: float) -> None:
    """But never and always are no more than what was seen so far."""
    below = np.arange(1.0, 9)[:, None]
    found = resample(Ratios(ratio * below, below), np.arange(8), 200, seed=0)
    assert found.interval() == pytest.approx((expected, expected), nan_ok=True)


@given(seed=st.integers(0, 200), groups=st.integers(2, 9), good=st.booleans())
def test_intervals_stay_within_what_is_possible_and_contain_the_value(seed: int, groups: int, good: bool) -> None:
    rng = np.random.default_rng(seed)
    below = rng.integers(1, 4, (groups, 1)).astype(np.float64)
    above = np.minimum(rng.integers(0, 2, (groups, 1)) + 3 * good, below)
    for other, least in ((None, 0), (Ratios(below - above, below), -1)):
        found = resample(Ratios(above, below), np.arange(groups), 120, seed=0, minus=other)
        low, high = found.interval()
        if found.value in (least, 1):
            assert math.isnan(low) and math.isnan(high)
            continue
        assert least <= low <= found.value + 1e-9
        assert found.value - 1e-9 <= high <= 1
        assert 0 < found.probability() < 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, 1 - 3 / 202),  # 2 of 100 resamples lie a distance of 1 or more away: (2 + 1) / (100 + 1) / 2
        (-0.1, 3 / 202),
        (0.0, 0.5),
        (NAN, NAN),
    ],
)
def test_the_probability_by_hand(value: float, expected: float) -> None:
    values = np.append(np.full(98, value + 0.001), [value + 0.5, value - 0.5])
    errors = np.full(100, 0.1) if not math.isnan(value) else np.full(100, NAN)
    found = Resampled(value, float(errors[0]), values, errors, least=-1.0)
    assert found.probability() == pytest.approx(expected, nan_ok=True)


def test_the_probability_says_what_the_interval_says() -> None:
    """Above 0.975 exactly where the 95% interval lies above 0."""
    seen = set()
    for seed in range(40):
        first, second = random_ratios(15, 2, seed, spread=0.2), random_ratios(15, 2, seed + 1000, spread=0.1)
        better = Ratios(first.numerators * 1.08, first.denominators)
        found = resample(better, np.arange(15), 400, seed=0, minus=second)
        above = found.interval()[0] > 0
        assert (found.probability() > 0.975) == above
        seen.add(above)
    assert seen == {True, False}

"""Rules by which members become one, against slow versions; classes that win wherever a member says them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.config.schema import Blend
from foldseg.ensemble.blend import Blender, argmax

RULES = list(Blend.kinds())


def slow(rule: str, vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Blend one pixel: vectors (members, classes) of levels, weights (members, classes)."""
    classes = vectors.shape[1]
    total = np.zeros(classes)
    for vector, weight in zip(vectors, weights, strict=True):
        for c in range(classes):
            if rule == "mean":
                total[c] += weight[c] * vector[c]
            elif rule == "geometric_mean":
                total[c] += weight[c] * np.log(max(vector[c], 0.5)) / weights[:, c].sum()
            elif rule == "vote":
                total[c] += weight[c] * (c == int(np.argmax(vector)))
            else:
                others = [np.sign(vector[c] - vector[d]) / 2 + 0.5 for d in range(classes) if d != c]
                total[c] += weight[c] * (np.mean(others) if others else 0.5)
    total = np.exp(total) if rule == "geometric_mean" else total
    return total / total.sum()


def blend(rule: str, vectors: np.ndarray, weights: list, union: tuple[int, ...] = ()) -> np.ndarray:
    blender = Blender(Blend.kinds()[rule], union)
    for vector, weight in zip(vectors, weights, strict=True):
        maps = vector.astype(np.float32)[:, None, None]
        blender.add(maps, weight, argmax(maps), "a")
    return blender.finish()[:, 0, 0]


@given(st.sampled_from(RULES), st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 6), st.booleans())
def test_rules_are_those_of_a_slow_loop(rule: str, seed: int, members: int, classes: int, per_class: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 4, (members, classes)) * 50
    vectors[vectors.sum(1) == 0] = 50
    weights = rng.uniform(0.1, 2, (members, classes) if per_class else (members, 1))
    found = blend(rule, vectors, [w if per_class else float(w[0]) for w in weights])
    expected = slow(rule, vectors, np.broadcast_to(weights, (members, classes)))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
@given(st.integers(0, 2**32))
def test_a_class_of_the_union_wins_where_any_member_says_it(rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.dirichlet(np.full(4, 0.5), 3) * 255
    tops = vectors.argmax(1)
    found = blend(rule, vectors, [0.1, 1.0, 3.0], union=(2,))
    assert found.sum() == pytest.approx(1, abs=1e-5)
    if 2 in tops:
        only = [i for i in range(3) if tops[i] == 2]
        assert int(found.argmax()) == 2
        assert found == pytest.approx(blend(rule, vectors[only], [[0.1, 1.0, 3.0][i] for i in only]), abs=1e-5)
    else:
        assert found == pytest.approx(blend(rule, vectors, [0.1, 1.0, 3.0]), abs=1e-5)


def test_sums_of_what_is_stored_are_exact_so_that_ties_stay_ties() -> None:
    vectors = np.array([[77, 101, 77], [101, 77, 77], [77, 77, 101]])
    found = blend("mean", vectors, [1.0, 1.0, 1.0])
    assert found[0] == found[1] == found[2]

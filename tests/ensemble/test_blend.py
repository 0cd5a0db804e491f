"""The weighted mean of members."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.ensemble.blend import argmax, merge_classes
from foldseg.errors import FoldsegError
from made_up_members import mean_of


def member(*pixels: list[int]) -> np.ndarray:
    """Values of each class per pixel -> (classes, 1, pixels) uint8."""
    return np.array(pixels, np.uint8).T[:, None]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1.0, 1.0), [0.5, 0.5]),  # (255 + 0) / 510
        ((3.0, 1.0), [0.75, 0.25]),
        ((0.1, 0.3), [0.25, 0.75]),  # weights count relative to each other
        ((5.0,), [1.0, 0.0]),
    ],
)
def test_means_by_hand(weights: tuple[float, ...], expected: list[float]) -> None:
    maps = [member([255, 0]), member([0, 255])]
    found = mean_of(zip(maps, weights, strict=False))
    assert found.dtype == np.float32
    assert found[:, 0, 0].tolist() == pytest.approx(expected)


@given(seed=st.integers(0, 99), members=st.integers(1, 4), classes=st.integers(2, 30))
def test_classes_sum_to_one_and_stay_in_range(seed: int, members: int, classes: int) -> None:
    """Defect 25: a blend is in [0, 1] and does not depend on other images."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(members):
        p = rng.dirichlet(np.full(classes, 0.3), (3, 4)).transpose(2, 0, 1)
        maps.append(((255 * p + 0.5).astype(np.uint8), float(rng.uniform(0.1, 5))))
    found = mean_of(maps)
    assert np.allclose(found.sum(0), 1, atol=1e-6)
    assert (found >= 0).all()
    assert (found <= 1 + 1e-6).all()


def test_members_are_not_changed() -> None:
    maps = member([200, 55])
    mean_of([(maps, 0.5), (maps, 1.0)])
    assert maps[:, 0, 0].tolist() == [200, 55]


def test_members_are_read_one_by_one() -> None:
    """Memory must not grow with the number of members: the one before is let go when the next is made."""
    alive: list[int] = []
    most = []

    def maps() -> Iterator[tuple[np.ndarray, float]]:
        for index in range(6):
            made = np.ones((2, 3, 3), np.uint8)
            alive.append(index)
            most.append(len(alive))
            weakref.finalize(made, alive.remove, index)
            yield made, 1.0
            del made

    mean_of(maps())
    assert max(most) <= 2
    assert len(most) == 6


@pytest.mark.parametrize("other", [(2, 3, 4), (3, 4, 3), (3, 3, 5)])
def test_members_of_different_shapes_are_refused(other: tuple[int, int, int]) -> None:
    maps = [(np.ones((3, 3, 4), np.uint8), 1.0), (np.ones(other, np.uint8), 1.0)]
    with pytest.raises(FoldsegError, match=r"im7: members differ in classes or size: \(3, 3, 4\) and"):
        mean_of(maps, "im7")


def test_no_member_is_refused() -> None:
    with pytest.raises(FoldsegError, match="im7: no member has predicted it"):
        mean_of([], "im7")


@given(seed=st.integers(0, 99), classes=st.integers(1, 30), merged=st.integers(1, 6))
def test_merged_classes_are_those_of_a_slow_loop(seed: int, classes: int, merged: int) -> None:
    rng = np.random.default_rng(seed)
    into = np.array([*range(min(merged, classes)), *rng.integers(0, merged, max(0, classes - merged))])
    rng.shuffle(into)
    maps = rng.integers(0, 256, (classes, 3, 4), dtype=np.uint8)
    expected = np.zeros((into.max() + 1, 3, 4), int)
    for index in range(classes):
        for y in range(3):
            for x in range(4):
                expected[into[index], y, x] += int(maps[index, y, x])
    assert merge_classes(maps, into).tolist() == expected.tolist()


def test_the_most_classes_that_can_be_merged_do_not_overflow() -> None:
    maps = np.full((254, 1, 1), 255, np.uint8)
    assert merge_classes(maps, np.zeros(254, np.intp)).tolist() == [[[254 * 255]]]


def test_classes_that_stay_are_not_copied_and_a_new_order_is_kept() -> None:
    maps = member([200, 50, 5])
    assert merge_classes(maps, np.arange(3)) is maps
    assert merge_classes(maps, np.array([2, 0, 1]))[:, 0, 0].tolist() == [50, 5, 200]
    assert maps[:, 0, 0].tolist() == [200, 50, 5]


@given(seed=st.integers(0, 99), classes=st.integers(1, 20), levels=st.integers(1, 4))
def test_argmax_is_numpys_with_ties_too(seed: int, classes: int, levels: int) -> None:
    p = np.random.default_rng(seed).integers(0, levels, (classes, 4, 5)).astype(np.float32)
    found = argmax(p)
    assert found.dtype == np.uint8
    assert found.tolist() == p.argmax(0).tolist()


def test_argmax_leaves_the_probabilities_alone() -> None:
    p = np.array([[[0.1]], [[0.9]]], np.float32)
    argmax(p)
    assert p.ravel().tolist() == pytest.approx([0.1, 0.9])

"""Removal of small components and holes."""

import numpy as np
import pytest

from foldseg.ensemble.clean_up import clean_up


def grid(*rows: str) -> np.ndarray:
    """One digit per pixel."""
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("before", "min_area", "classes", "after"),
    [
        # an island takes what surrounds it
        (("0000", "0120", "0000"), 2, None, ("0000", "0000", "0000")),
        # components of exactly min_area stay
        (("0000", "0110", "0000"), 2, None, ("0000", "0110", "0000")),
        (("0000", "0110", "0000"), 3, None, ("0000", "0000", "0000")),
        # a hole is a component of another class
        (("1111", "1011", "1111"), 2, None, ("1111", "1111", "1111")),
        # corners touch: one component of 2 pixels
        (("0000", "0100", "0010", "0000"), 2, None, ("0000", "0100", "0010", "0000")),
        # only components of the classes asked for
        (("00000", "01020", "00000"), 2, [2], ("00000", "01000", "00000")),
        (("00000", "01020", "00000"), 2, [], ("00000", "01020", "00000")),
        # the nearest kept pixel decides, on both sides
        (("1111311122",), 3, None, ("1111111111",)),
        (("1113222",), 2, [3], ("1111222", "1112222")),
        # nothing would be kept: as it was
        (("0123",), 5, None, ("0123",)),
        # class 0 is a class like the others
        (("11111", "11011", "11111"), 4, [0], ("11111", "11111", "11111")),
    ],
)
def test_by_hand(before: tuple[str, ...], min_area: int, classes: list[int] | None, after: tuple[str, ...]) -> None:
    found = clean_up(grid(*before), min_area, classes)
    assert found.dtype == np.uint8
    if len(before) == 1 and len(after) == 2:  # a tie: either neighbour is right
        assert found.tolist() in [grid(row).tolist() for row in after]
    else:
        assert found.tolist() == grid(*after).tolist()


def test_two_neighbouring_specks_take_the_kept_class_not_each_others() -> None:
    assert clean_up(grid("00000", "01200", "00000"), 2).tolist() == grid("00000", "00000", "00000").tolist()


def component(labels: np.ndarray, start: tuple[int, int]) -> set[tuple[int, int]]:
    """Pixels that are connected to `start` by steps, also diagonal ones, within its class."""
    found, todo = {start}, [start]
    while todo:
        y, x = todo.pop()
        for near in {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} - found:
            inside = 0 <= near[0] < labels.shape[0] and 0 <= near[1] < labels.shape[1]
            if inside and labels[near] == labels[start]:
                found.add(near)
                todo.append(near)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_removed_pixel_takes_the_class_of_a_nearest_kept_pixel(seed: int) -> None:
    """Brute force. OpenCV's 5x5 distances are within 2% of the Euclidean ones."""
    labels = np.random.default_rng(seed).integers(0, 4, (5, 7), dtype=np.uint8).repeat(3, 0).repeat(3, 1)
    labels[4, 4] = labels[10, 12] = 9
    found = clean_up(labels, 12)
    kept = np.array([[len(component(labels, (y, x))) >= 12 for x in range(21)] for y in range(15)])
    assert (found[kept] == labels[kept]).all()
    ys, xs = np.nonzero(kept)
    for y, x in zip(*np.nonzero(~kept), strict=True):
        distances = np.hypot(ys - y, xs - x)
        near = distances <= distances.min() * 1.05
        assert found[y, x] in labels[ys[near], xs[near]]


def test_the_labels_given_are_not_changed() -> None:
    labels = grid("000", "010", "000")
    clean_up(labels, 2)
    assert labels[1, 1] == 1

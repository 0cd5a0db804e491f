"""Removal of small components and holes."""

import numpy as np
import pytest

from foldseg.config.schema import CleanUpStep, MeanBlend
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Prediction
from foldseg.ensemble.steps import clean_up as module
from foldseg.ensemble.steps.clean_up import CleanUpOperation, clean_up_masks
from foldseg.scoring.counts import count_masks, count_pixels

CLASSES = 10


def clean_up(labels: np.ndarray, min_area: int, classes: list[int] | None = None, hole_area: int = 0) -> np.ndarray:
    """Clean with one area for all classes, or for those given."""
    chosen = np.isin(np.arange(CLASSES), range(CLASSES) if classes is None else classes)
    return module.clean_up(labels, min_area * chosen, hole_area * chosen)


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


@pytest.mark.parametrize(
    ("before", "hole_area", "classes", "after"),
    [
        (("1111", "1011", "1111"), 2, [1], ("1111", "1111", "1111")),
        (("1111", "1001", "1111"), 2, [1], ("1111", "1001", "1111")),  # of exactly hole_area
        (("1111", "1021", "1111"), 3, [1], ("1111", "1111", "1111")),  # of whatever classes
        (("1111", "1011", "1111"), 2, [0], ("1111", "1011", "1111")),  # not a hole of class 0
        (("1111", "0111", "1111"), 9, [1], ("1111", "0111", "1111")),  # it reaches the border
        (("11110", "10111", "11011", "11111"), 2, [1], ("11110", "11111", "11111", "11111")),  # corners do not join
    ],
)
def test_holes_by_hand(before: tuple[str, ...], hole_area: int, classes: list[int], after: tuple[str, ...]) -> None:
    assert clean_up(grid(*before), 0, classes, hole_area).tolist() == grid(*after).tolist()


def test_masks_are_cleaned_one_by_one() -> None:
    masks = np.stack([grid("11100", "10101", "11100") == 1, grid("01000", "00000", "00011") == 1])
    found = clean_up_masks(masks, np.array([2, 2]), np.array([2, 0]))
    assert found[0].astype(int).tolist() == grid("11100", "11100", "11100").tolist()
    assert found[1].astype(int).tolist() == grid("00000", "00000", "00011").tolist()
    assert masks[0, 1, 4]


LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,)) for i in range(4)))
SPEC = EnsembleSpec(("a",), np.ones(1), MeanBlend(), LABELS, "dataset_miou")


def noisy(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth of large blocks with a little void, and labels that are wrong in specks."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, (5, 6), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    labels = np.where(rng.random(truth.shape) < 0.05, rng.integers(0, 4, truth.shape), truth).astype(np.uint8)
    truth[:2] = 255
    return truth, labels


@pytest.mark.parametrize("overlapping", [False, True])
def test_areas_are_fitted_to_what_cleaning_each_class_by_itself_would_score(overlapping: bool) -> None:
    settings = CleanUpStep(min_area=(4, 9), hole_area=(0, 5))
    operation = CleanUpOperation(settings)
    context = ImageContext("a", SPEC, list, list)
    truths, observations, results = [], [], []
    for seed in range(3):
        truth, labels = noisy(seed)
        masks = np.arange(4)[:, None, None] == labels if overlapping else None
        maps = np.full((4, *labels.shape), 64, np.uint8)
        results.append(Prediction(labels, maps=maps, masks=masks))
        observations.append(operation.observe(results[-1], truth, context, 0))
        truths.append(truth)
    params = operation.fit(observations, SPEC)

    def value(areas: dict[str, np.ndarray]) -> float:
        counts = []
        for truth, result in zip(truths, results, strict=True):
            found = operation.apply(result, context, areas)
            counts.append(count_masks(truth, found.masks) if overlapping else count_pixels(truth, found.labels, 4))
        return SPEC.value(np.stack(counts))

    none = {"min_area": np.zeros(4, np.int64), "hole_area": np.zeros(4, np.int64)}
    for kind, areas in (("min_area", [0, 4, 9]), ("hole_area", [0, 5])):
        for index in range(4):
            trials = [value({**none, kind: np.where(np.arange(4) == index, area, 0)}) for area in areas]
            assert params[kind][index] == areas[int(np.argmax(trials))]
    assert value(params) > value(none)
    assert operation.describe(params, SPEC)["min_area"]


def test_given_areas_are_not_fitted() -> None:
    assert not CleanUpOperation(CleanUpStep(min_area=4)).is_fitted
    assert CleanUpOperation(CleanUpStep(min_area=(4,))).is_fitted

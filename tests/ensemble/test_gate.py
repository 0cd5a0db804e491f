"""The gate and the triplet rule: given and fitted limits, against segmenting every image again."""

from itertools import product

import numpy as np
import pytest

from foldseg.config.schema import Ensemble, GateStep, ThresholdStep, TripletStep
from foldseg.ensemble.prediction import ImageContext, Prediction
from foldseg.ensemble.steps import build_operation
from foldseg.ensemble.steps.emptying import list_area_limits
from foldseg.errors import FoldsegError
from made_up_members import LABELS as EXCLUSIVE
from made_up_planes import CLASSES, LABELS, context_of, spec_of

SIZE = (20, 20)


def scene(seed: int) -> tuple[np.ndarray, Prediction, ImageContext]:
    """An image in which class 0 is nowhere, if the seed is odd; then a few pixels of it are predicted, weakly."""
    rng = np.random.default_rng(seed)
    planes = np.zeros((CLASSES, *SIZE), bool)
    maps = rng.integers(0, 90, (CLASSES, *SIZE)).astype(np.uint8)
    planes[1:, 10:] = True
    maps[1:, 10:] = 200
    if seed % 2:
        maps[0, 0, : 1 + seed % 5] = 140  # a false alarm
    else:
        planes[0, :6, :8] = True
        maps[0, :6, :8] = 180
        maps[0, 0, 0] = 250
    prediction = Prediction.of_maps(maps, LABELS)
    return LABELS.pack_planes(planes), prediction, context_of(f"im{seed}", [maps])


SCENES = [scene(seed) for seed in range(12)]
SPEC = spec_of(1)


def score_of(step: GateStep | TripletStep | ThresholdStep | None, params=None) -> float:
    counts = []
    for truth, prediction, context in SCENES:
        after = prediction if step is None else build_operation(step).apply(prediction, context, params)
        counts.append(after.count(truth, LABELS))
    return SPEC.value(np.stack(counts))


def fit(step: GateStep | TripletStep | ThresholdStep) -> dict[str, np.ndarray]:
    operation = build_operation(step)
    observations = [operation.observe(prediction, truth, context, 0) for truth, prediction, context in SCENES]
    return dict(operation.fit(observations, SPEC))


def test_without_a_gate_a_false_alarm_costs_the_whole_image() -> None:
    assert score_of(None) == pytest.approx((6 * 0 + 30) / 36, abs=1e-6)  # class 0 is 0 in half of the images


@pytest.mark.parametrize(
    "step", [GateStep(min_probability=0.6, min_area=0), GateStep(min_probability=0.0, min_area=10)]
)
def test_a_given_limit_empties_what_is_below_it(step: GateStep) -> None:
    assert not build_operation(step).is_fitted
    assert score_of(step) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (GateStep(), "min_level"),
        (GateStep(min_area=0), "min_level"),
        (GateStep(min_probability=0.0), "min_area"),
    ],
)
def test_a_fitted_limit_divides_false_alarms_from_the_class(step: GateStep, name: str) -> None:
    params = fit(step)
    assert score_of(step, params) == pytest.approx(1.0)
    low, high = (140, 250) if name == "min_level" else (5, 48)
    assert low < params[name][0] <= high
    assert params[name][1:].tolist() == [0, 0]  # nothing is gained by emptying the others


def test_no_other_limits_score_higher() -> None:
    best = score_of(GateStep(), fit(GateStep()))
    for level, area in product((0.0, 0.5, 0.6, 0.8, 1.0), (0, 4, 10, 60)):
        assert score_of(GateStep(min_probability=level, min_area=area)) <= best + 1e-9


@pytest.mark.parametrize(
    "step",
    [
        TripletStep(),
        TripletStep(seed=0.65),
        TripletStep(min_area=20),
        TripletStep(threshold=0.5),
        TripletStep(seed=0.65, min_area=20, threshold=0.5),
    ],
)
def test_the_triplet_rule_finds_the_class_and_no_false_alarm(step: TripletStep) -> None:
    operation = build_operation(step)
    params = fit(step) if operation.is_fitted else None
    assert score_of(step, params) == pytest.approx(1.0)


def test_the_triplet_rule_thresholds_lower_than_its_seed() -> None:
    _, prediction, context = SCENES[0]
    after = build_operation(TripletStep(seed=0.9, min_area=1, threshold=0.5)).apply(prediction, context, None)
    assert LABELS.class_planes(after.labels)[0].sum() == 48  # one pixel of 250 keeps 48 of 180
    stricter = build_operation(TripletStep(seed=0.9, min_area=2, threshold=0.5)).apply(prediction, context, None)
    assert not LABELS.class_planes(stricter.labels)[0].any()


def test_fitted_thresholds_of_class_bits_are_the_best_of_all() -> None:
    best = score_of(ThresholdStep(), fit(ThresholdStep()))
    for level in range(5, 256, 10):
        assert score_of(ThresholdStep(values=level / 255)) <= best + 1e-9
    assert best > score_of(None)


def test_thresholds_may_be_given_by_class() -> None:
    _, prediction, context = SCENES[1]
    after = build_operation(ThresholdStep(values={"c0": 0.3})).apply(prediction, context, None)
    planes, maps = LABELS.class_planes(after.labels), prediction.quantised()
    assert np.array_equal(planes[0], maps[0] >= 77)
    assert np.array_equal(planes[1:], maps[1:] >= 128)


def test_the_pixels_of_an_exclusive_class_become_the_best_class_that_is_not_scored() -> None:
    maps = np.zeros((4, 5, 5), np.uint8)
    maps[1], maps[0] = 140, 115
    maps[2, 0, 0], maps[1, 0, 0], maps[0, 0, 0] = 150, 60, 45
    prediction = Prediction.of_maps(maps)
    context = ImageContext("im", spec_of(1), lambda: np.zeros((5, 5, 3), np.uint8), list)
    object.__setattr__(context.spec, "labels", EXCLUSIVE)
    after = build_operation(GateStep(min_probability=0.0, min_area=2)).apply(prediction, context, None)
    assert after.labels.tolist() == [[0, 1, 1, 1, 1], *[[1] * 5] * 4]


def test_a_score_that_does_not_measure_the_gate_is_refused() -> None:
    config = Ensemble.model_construct(score="pixel_accuracy", steps=())
    with pytest.raises(FoldsegError, match=r"steps\.gate cannot be fitted for score pixel_accuracy"):
        build_operation(GateStep()).check(config, LABELS)
    build_operation(GateStep(min_probability=0.5, min_area=3)).check(config, LABELS)


def test_area_limits_empty_one_more_share_each() -> None:
    areas = np.array([[0, 3], [5, 0], [9, 0], [7, 0]])
    limits = list_area_limits(areas, 3)
    assert limits[:, 0].tolist() == [0, 6, 8, 10]
    assert limits[:, 1].tolist() == [0, 4, 4, 4]

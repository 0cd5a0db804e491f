"""What every step after the blend promises."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema import Step
from foldseg.config.schema.steps import Place
from foldseg.ensemble.prediction import ImageContext, Params, Prediction
from foldseg.ensemble.steps import STEPS, build_operation
from made_up_members import CLASSES, blended, context_of, member_of, spec_of, truth_of, write_picture

IMAGES = 6
EXAMPLES = [example for kind in STEPS for example in kind.examples()]
every_step = pytest.mark.parametrize("settings", EXAMPLES, ids=lambda step: step.summary)


@pytest.fixture
def images(tmp_path: Path) -> list[tuple[np.ndarray, ImageContext]]:
    """Truths (24, 30) with void, and contexts of two members."""
    truths = [truth_of(seed) for seed in range(IMAGES)]
    return [
        (
            truth,
            context_of(
                f"im{seed}",
                [member_of(truth, seed, 0.5), member_of(truth, 50 + seed, 0.3)],
                image=write_picture(tmp_path / f"{seed}.png", truth),
            ),
        )
        for seed, truth in enumerate(truths)
    ]


def fitted(settings: Step, images: list[tuple[np.ndarray, ImageContext]]) -> Params | None:
    """Fit a step as an ensemble does; None if there is nothing to fit."""
    if settings.package is not None and find_spec(settings.package.module.partition(".")[0]) is None:
        pytest.skip(f"{settings.package.module} is not installed")
    operation = build_operation(settings)
    if not operation.is_fitted:
        return None
    observations = [operation.observe(given(context), truth, context, 1 << 20) for truth, context in images]
    return operation.fit(observations, spec_of(2))


def given(context: ImageContext) -> Prediction:
    """Return the blend, rounded as OOF and test images are before a step that is fitted."""
    return blended(context, np.ones(2)).rounded()


@every_step
def test_a_step_gives_what_its_place_says(settings: Step, images) -> None:
    params, (truth, context) = fitted(settings, images), images[0]
    result = build_operation(settings).apply(given(context), context, params)
    assert result.labels.shape == truth.shape and result.labels.dtype == np.uint8
    assert result.labels.max() < CLASSES
    if settings.place.gives_probabilities:
        probabilities = result.as_probabilities()
        assert probabilities.shape == (CLASSES, *truth.shape)
        assert np.allclose(probabilities.sum(0), 1, atol=1e-4) and probabilities.min() >= 0
        assert result.labels.tolist() == probabilities.argmax(0).tolist()
    assert (result.masks is not None) == settings.may_overlap
    if result.masks is not None:
        assert result.masks.shape == (CLASSES, *truth.shape) and result.masks.dtype == bool


@every_step
def test_a_step_is_deterministic_and_leaves_its_input_alone(settings: Step, images) -> None:
    (_, context), before = images[0], given(images[0][1])
    maps, labels = before.quantised().copy(), before.labels.copy()
    params, again = fitted(settings, images), fitted(settings, images)
    for name in params or {}:
        assert np.array_equal(params[name], again[name])
    operation = build_operation(settings)
    first, second = (operation.apply(before, context, params).labels for _ in range(2))
    assert first.tolist() == second.tolist()
    assert before.quantised().tolist() == maps.tolist() and before.labels.tolist() == labels.tolist()


@every_step
def test_what_is_fitted_is_arrays_and_is_said_in_plain_numbers(settings: Step, images) -> None:
    params = fitted(settings, images)
    if params is None:
        return
    assert all(isinstance(value, np.ndarray) for value in params.values())
    json.dumps(build_operation(settings).describe(params, spec_of(2)), allow_nan=False)


@every_step
def test_a_step_on_labels_also_changes_masks_that_overlap(settings: Step, images) -> None:
    """If masks were not changed, the step would do nothing to what is scored and handed in."""
    if settings.place is not Place.LABELS:
        return
    params, operation = fitted(settings, images), build_operation(settings)
    changes_labels, changes_masks = [], []
    for _, context in images:
        before = given(context)
        overlapping = before.with_masks(before.quantised() >= 90, context.labels)
        after, masks_after = (operation.apply(one, context, params) for one in (before, overlapping))
        assert masks_after.masks is not None and masks_after.masks.shape == overlapping.masks.shape
        changes_labels.append(not np.array_equal(after.labels, before.labels))
        changes_masks.append(not np.array_equal(masks_after.masks, overlapping.masks))
    assert any(changes_labels) == any(changes_masks)


@every_step
def test_a_step_that_refines_pseudo_labels_gives_probabilities(settings: Step) -> None:
    assert settings.place.gives_probabilities or not settings.refines_pseudo_labels

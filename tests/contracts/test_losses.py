"""What every term of the loss promises."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from foldseg.config.schema import ClassWeights
from foldseg.losses import CLASS_WEIGHTS, TERMS, segmentation_loss
from random_batch import batch, only, value


@pytest.mark.parametrize("name", TERMS)
def test_every_term_has_a_gradient_at_every_valid_pixel(name: str) -> None:
    """Defect 7: a Dice loss of thresholded logits has none."""
    logits, masks = batch()
    logits.requires_grad_()
    segmentation_loss(logits, masks, only(name))[0].backward()
    assert logits.grad is not None
    moved = logits.grad.abs().sum(1) > 0
    assert not moved[masks == 255].any()
    assert moved[masks != 255].float().mean() > (0.999 if TERMS[name].has_gradient_everywhere else 0.25)


@pytest.mark.parametrize("name", TERMS)
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    logits, masks = batch()
    logits.requires_grad_()
    before = segmentation_loss(logits, masks, only(name))[0]
    before.backward()
    assert logits.grad is not None
    assert value(name, logits.detach() - 0.1 * logits.grad, masks) < before.item()


@pytest.mark.parametrize("name", TERMS)
def test_void_pixels_change_nothing(name: str) -> None:
    """Defect 17: void that is ignored by one of the losses only."""
    logits, masks = batch()
    more = torch.cat([logits, torch.randn(2, 4, 3, 5) * 9], 2)
    with_void = torch.cat([masks, torch.full((2, 3, 5), 255, dtype=torch.uint8)], 1)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    assert value(name, more, with_void, weights) == pytest.approx(value(name, logits, masks, weights), abs=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_a_loss_is_that_of_the_valid_pixels_alone(name: str) -> None:
    if TERMS[name].is_spatial:
        pytest.skip("a neighbour that is cut out is another thing than one that is void")
    logits, masks = batch()
    alone = logits.permute(1, 0, 2, 3)[:, masks != 255][None, :, None]
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    expected = value(name, alone, masks[masks != 255][None, None], weights)
    assert value(name, logits, masks, weights) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_batch_that_is_all_void_is_a_zero_that_can_be_differentiated(name: str, dtype: torch.dtype) -> None:
    logits = batch()[0].to(dtype).requires_grad_()
    total, terms = segmentation_loss(logits, torch.full((2, 6, 5), 255, dtype=torch.uint8), only(name))
    total.backward()
    assert total.item() == 0
    assert terms[name] == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1.0, 60000.0, -60000.0])
def test_half_precision_and_enormous_logits_stay_finite(name: str, dtype: torch.dtype, size: float) -> None:
    logits, masks = batch()
    logits = (logits.sign() * size).to(dtype).requires_grad_()
    total, _ = segmentation_loss(logits, masks, only(name))
    total.backward()
    assert total.dtype == torch.float32
    assert math.isfinite(total.item())
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", TERMS)
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_more_than_chance(name: str) -> None:
    logits, masks = batch()
    truth = functional.one_hot(masks.where(masks != 255, 0).long(), 4).permute(0, 3, 1, 2).float()
    assert value(name, 100 * truth - 50, masks) == pytest.approx(0, abs=1e-6)
    chance, wrong = value(name, logits, masks), value(name, 50 - 100 * truth, masks)
    assert wrong > 1.1 * chance > 0.01


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if not term.is_spatial])
def test_the_order_of_pixels_does_not_matter(name: str) -> None:
    logits, masks = batch()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    mixed = logits.flatten(2)[..., order].view_as(logits)
    assert value(name, mixed, masks.flatten(1)[:, order].view_as(masks)) == pytest.approx(
        value(name, logits, masks), abs=1e-6
    )


@pytest.mark.parametrize("kind", CLASS_WEIGHTS, ids=lambda kind: kind.kind_name())
def test_class_weights_are_positive_numbers_one_per_class(kind: type[ClassWeights]) -> None:
    """The third class is rare, the fourth is nowhere."""
    counts = np.array([[900, 90, 10, 0], [500, 500, 0, 0]])
    for settings in kind.examples():
        weights = CLASS_WEIGHTS[kind](settings, lambda: counts)
        assert weights is None or (len(weights) == 4 and bool((weights > 0).all()) and bool(weights.isfinite().all()))

"""Losses of overlapping classes: every term, against slow versions and against two exclusive classes."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.config.schema.base import ConflictError
from foldseg.losses import TERMS, outputs_loss, segmentation_loss
from foldseg.losses.pixels import OverlappingPixels
from foldseg.models.network_outputs import NetworkOutputs
from random_batch import only

CLASSES = 3


def works_on_bits(name: str) -> bool:
    try:
        only(name).check_classes(True)
    except ConflictError:
        return False
    return True


BITWISE = [name for name in TERMS if works_on_bits(name)]
each_term = pytest.mark.parametrize("name", BITWISE)


def batch(seed: int = 0, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 6, 5) and masks of class bits, of which about a fifth is void."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 6, 5, generator=generator)
    masks = torch.randint(0, 1 << classes, (2, 6, 5), generator=generator).to(torch.uint8)
    is_void = torch.rand(2, 6, 5, generator=generator) < 0.2
    return logits, masks.masked_fill(is_void, 255)


def value(name: str, logits: Tensor, masks: Tensor, weights: Tensor | None = None, **settings: object) -> float:
    return float(segmentation_loss(logits, masks, only(name, **settings), weights, True)[0])


def test_which_terms_take_overlapping_classes() -> None:
    assert sorted(set(TERMS) - set(BITWISE)) == ["cross_entropy", "ohem"]
    with pytest.raises(ConflictError, match=r"cross_entropy: is of one class per pixel.*loss.binary_cross_entropy"):
        only("cross_entropy").check_classes(True)


@each_term
def test_every_term_has_a_gradient_at_valid_pixels_only(name: str) -> None:
    logits, masks = batch()
    logits.requires_grad_()
    segmentation_loss(logits, masks, only(name), None, True)[0].backward()
    assert logits.grad is not None
    moved = logits.grad.abs().sum(1) > 0
    assert not moved[masks == 255].any()
    assert moved[masks != 255].float().mean() > (0.999 if TERMS[name].has_gradient_everywhere else 0.25)


@each_term
def test_void_pixels_change_nothing(name: str) -> None:
    logits, masks = batch()
    more = torch.cat([logits, torch.randn(2, CLASSES, 3, 5) * 9], 2)
    with_void = torch.cat([masks, torch.full((2, 3, 5), 255, dtype=torch.uint8)], 1)
    weights = torch.tensor([1.0, 2.0, 0.5])
    assert value(name, more, with_void, weights) == pytest.approx(value(name, logits, masks, weights), abs=1e-6)


@each_term
def test_a_batch_that_is_all_void_is_a_zero_that_can_be_differentiated(name: str) -> None:
    logits = batch()[0].requires_grad_()
    void = torch.full((2, 6, 5), 255, dtype=torch.uint8)
    total, _ = segmentation_loss(logits, void, only(name), None, True)
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@each_term
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_enormous_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    logits, masks = batch()
    logits = (logits.sign() * 60000).to(dtype).requires_grad_()
    total, _ = segmentation_loss(logits, masks, only(name), None, True)
    total.backward()
    assert math.isfinite(total.item())
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@each_term
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_more_than_chance(name: str) -> None:
    logits, masks = batch()
    truth = OverlappingPixels(logits, masks).truth.float()
    assert value(name, 100 * truth - 50, masks) == pytest.approx(0, abs=1e-6)
    if TERMS[name].is_spatial:
        return  # what is not of a class has the same boundary as the class
    assert value(name, 50 - 100 * truth, masks) > 1.1 * value(name, logits, masks) > 0.01


@each_term
def test_the_mean_over_classes_is_weighted(name: str) -> None:
    """With all weight on one class, the loss is that of the class alone."""
    logits, masks = batch()
    for index in range(CLASSES):
        weights = torch.eye(CLASSES)[index]
        single = torch.where(masks == 255, 255, masks >> index & 1).to(torch.uint8)
        alone = value(name, logits[:, index : index + 1], single)
        assert value(name, logits, masks, weights) == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(("of_bits", "of_two"), [("binary_cross_entropy", "cross_entropy"), ("focal", "focal")])
def test_one_class_is_as_two_exclusive_ones(of_bits: str, of_two: str) -> None:
    logits, masks = batch(classes=1)
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    expected = float(segmentation_loss(two, masks, only(of_two))[0])
    assert value(of_bits, logits, masks) == pytest.approx(expected, rel=1e-5)


def test_positive_weights_are_those_of_torch() -> None:
    logits, masks = batch()
    truth, valid = OverlappingPixels(logits, masks).truth.float(), (masks != 255)[:, None].expand(-1, CLASSES, -1, -1)
    weights = torch.tensor([1.0, 5.0, 0.5])
    losses = functional.binary_cross_entropy_with_logits(
        logits, truth, pos_weight=weights[:, None, None], reduction="none"
    )
    found = value("binary_cross_entropy", logits, masks, positive_weights=(1.0, 5.0, 0.5))
    assert found == pytest.approx(float(losses[valid].mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky", "lovasz", "lovasz_hinge", "binary_cross_entropy"])
def test_what_is_predicted_in_an_empty_image_costs_something(name: str) -> None:
    """No other class misses these pixels, so a class that is nowhere in the truth has to count."""
    empty = torch.zeros(2, 6, 5, dtype=torch.uint8)
    nothing, something = torch.full((2, CLASSES, 6, 5), -30.0), torch.full((2, CLASSES, 6, 5), -30.0)
    something[:, 1, :3] = 3.0
    assert value(name, nothing, empty) == pytest.approx(0, abs=1e-6)
    assert value(name, something, empty) > 0.1


def test_presence_counts_images_without_any_class() -> None:
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, 0, 0] = 0b101
    presence = torch.tensor([[2.0, -2.0, 2.0], [1.0, -2.0, -2.0]])
    config = Loss(binary_cross_entropy=1.0, presence=1.0)
    outputs = NetworkOutputs(torch.zeros(2, 3, 4, 4), presence=presence)
    _, parts = outputs_loss(outputs, masks, config, None, True)
    truth = torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    expected = functional.binary_cross_entropy_with_logits(presence, truth)
    assert float(parts["presence"]) == pytest.approx(float(expected))


def test_the_truth_is_the_bits() -> None:
    _, masks = batch()
    truth = OverlappingPixels(torch.zeros(2, CLASSES, 6, 5), masks).truth.numpy()
    bits = masks.numpy()
    for index in range(CLASSES):
        assert np.array_equal(truth[:, index], (bits >> index & 1 == 1) & (bits != 255))

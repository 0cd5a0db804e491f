"""Losses against hand-computed values, and on the batches that break other people's losses."""

import math

import pytest
import torch
from segmentation_models_pytorch import losses as smp_losses
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.losses import TERMS, cross_entropy, dice, focal, inverse_log_weights, jaccard, lovasz, segmentation_loss

EACH = list(TERMS)

# Three pixels, two classes; probabilities of class 0 are 0.9, 0.6, 0.3 and the truth is 0, 0, 1
LOGITS = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]).log()
TARGET = torch.tensor([0, 0, 1])


def batch(seed: int = 0, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Logits (2, 4, 6, 5) and masks of all classes with about a fifth void."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 6, 5, generator=generator)
    masks = torch.randint(0, classes + 1, (2, 6, 5), generator=generator).to(torch.uint8)
    return logits, torch.where(masks == classes, 255, masks).to(torch.uint8)


def only(name: str, **settings: object) -> Loss:
    return Loss(**{name: 1.0}, **settings)  # type: ignore[arg-type]


def value(name: str, logits: Tensor, masks: Tensor, weights: Tensor | None = None) -> float:
    return float(segmentation_loss(logits, masks, only(name), weights)[0])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # -(ln 0.9 + ln 0.6 + ln 0.7) / 3
        (cross_entropy, 0.324287),
        # (0.1^2 * 0.105361 + 0.4^2 * 0.510826 + 0.3^2 * 0.356675) / 3
        (focal, 0.038296),
        # class 0: (2 * 1.5 + 1) / (1.8 + 2 + 1) = 0.8333; class 1: (2 * 0.7 + 1) / (1.2 + 1 + 1) = 0.75
        (dice, 1 - (4 / 4.8 + 2.4 / 3.2) / 2),
        # class 0: (1.5 + 1) / (1.8 + 2 - 1.5 + 1); class 1: (0.7 + 1) / (1.2 + 1 - 0.7 + 1)
        (jaccard, 1 - (2.5 / 3.3 + 1.7 / 2.5) / 2),
        # class 0: errors 0.4 (true), 0.3, 0.1 (true); index falls by 1/2, 1/6, 1/3: 0.28333
        # class 1: errors 0.4, 0.3 (true), 0.1; index falls by 1/2, 1/2, 0: 0.35
        (lovasz, (0.4 / 2 + 0.3 / 6 + 0.1 / 3 + 0.4 / 2 + 0.3 / 2) / 2),
    ],
)
def test_values_by_hand(function: object, expected: float) -> None:
    assert float(function(LOGITS, TARGET)) == pytest.approx(expected, abs=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("name", EACH)
def test_every_term_has_a_gradient_at_every_valid_pixel(name: str) -> None:
    """Defect 7: a Dice loss of thresholded logits has none."""
    logits, masks = batch()
    logits.requires_grad_()
    segmentation_loss(logits, masks, only(name))[0].backward()
    assert logits.grad is not None
    moved = logits.grad.abs().sum(1) > 0
    assert torch.equal(moved, masks != 255)


@pytest.mark.parametrize("name", EACH)
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    logits, masks = batch()
    logits.requires_grad_()
    before = segmentation_loss(logits, masks, only(name))[0]
    before.backward()
    assert logits.grad is not None
    assert value(name, logits.detach() - 0.1 * logits.grad, masks) < before.item()


@pytest.mark.parametrize("name", EACH)
def test_void_pixels_change_nothing(name: str) -> None:
    """Defect 17: void that is ignored by one of the losses only."""
    logits, masks = batch()
    more = torch.cat([logits, torch.randn(2, 4, 3, 5) * 9], 2)
    with_void = torch.cat([masks, torch.full((2, 3, 5), 255, dtype=torch.uint8)], 1)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    assert value(name, more, with_void, weights) == pytest.approx(value(name, logits, masks, weights), abs=1e-6)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_batch_that_is_all_void_is_a_zero_that_can_be_differentiated(name: str, dtype: torch.dtype) -> None:
    logits = batch()[0].to(dtype).requires_grad_()
    total, terms = segmentation_loss(logits, torch.full((2, 6, 5), 255, dtype=torch.uint8), only(name))
    total.backward()
    assert total.item() == 0
    assert terms[name] == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", EACH)
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


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_stays_finite_where_a_pixel_is_certain(gamma: float) -> None:
    """(1 - p)^gamma has an infinite slope at p = 1 for gamma below 1."""
    logits = torch.tensor([100.0, -100.0]).view(1, 2, 1, 1).repeat(1, 1, 1, 2).requires_grad_()
    masks = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    total, _ = segmentation_loss(logits, masks, only("focal", focal_gamma=gamma))
    total.backward()
    assert total.item() == pytest.approx(100)  # 200 nats at the wrong pixel, 0 at the right one
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_focal_with_gamma_0_is_cross_entropy() -> None:
    assert float(focal(LOGITS, TARGET, 0.0)) == pytest.approx(float(cross_entropy(LOGITS, TARGET)))


def test_focal_gamma_is_read_from_the_configuration() -> None:
    logits, masks = batch()
    strong, _ = segmentation_loss(logits, masks, only("focal", focal_gamma=4.0))
    assert float(strong) < value("focal", logits, masks)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.2, 3.0, 0.0])])
def test_cross_entropy_equals_torchs_with_an_ignore_index(weights: Tensor | None) -> None:
    logits, masks = batch()
    expected = functional.cross_entropy(logits, masks.long(), weights, ignore_index=255)
    assert value("cross_entropy", logits, masks, weights) == pytest.approx(float(expected), abs=1e-6)


def test_class_weights_that_are_all_zero_in_a_batch_are_no_nan() -> None:
    """A weight of 0 leaves a class out; a crop may show nothing else."""
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    masks = torch.ones(1, 2, 2, dtype=torch.uint8)
    total, _ = segmentation_loss(logits, masks, only("cross_entropy"), torch.tensor([1.0, 0.0]))
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_dice_equals_smps_where_every_class_is_present() -> None:
    """Theirs is (I + s) / ((P + T) / 2 + s), so a smooth of 0.5 there is one of 1 here."""
    logits, masks = batch()
    theirs = smp_losses.DiceLoss("multiclass", smooth=0.5, ignore_index=255)
    assert value("dice", logits, masks) == pytest.approx(float(theirs(logits, masks.long())), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_lovasz_equals_smps_in_float32(seed: int) -> None:
    logits, masks = batch(seed)
    theirs = smp_losses.LovaszLoss("multiclass", ignore_index=255)
    assert value("lovasz", logits, masks) == pytest.approx(float(theirs(logits, masks.long())), abs=1e-5)


@pytest.mark.parametrize("name", EACH)
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much(name: str) -> None:
    _, masks = batch()
    truth = functional.one_hot(masks.where(masks != 255, 0).long(), 4).permute(0, 3, 1, 2).float()
    assert value(name, 50 * truth, masks) == pytest.approx(0, abs=1e-6)
    assert value(name, -50 * truth, masks) > 0.8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 16 pixels of class 0, each with probability 0.75: overlap 12, predicted 12, true 16, one pixel of smoothing
        ("dice", 1 - (24 + 1) / (12 + 16 + 1)),
        ("jaccard", 1 - (12 + 1) / (16 + 1)),
        ("lovasz", 0.25),
    ],
)
def test_a_class_that_is_absent_from_the_batch_is_left_out(name: str, expected: float) -> None:
    """The second class is nowhere in the truth, but has a quarter of the probability."""
    logits = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert value(name, logits, torch.zeros(1, 4, 4, dtype=torch.uint8)) == pytest.approx(expected, abs=1e-6)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    logits, masks = batch()
    config = Loss(cross_entropy=1.0, dice=0.5, jaccard=0.0, focal=2.0, lovasz=0.25)
    total, terms = segmentation_loss(logits, masks, config)
    alone = {name: value(name, logits, masks) for name in ("cross_entropy", "dice", "focal", "lovasz")}
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(alone)
    expected = alone["cross_entropy"] + 0.5 * alone["dice"] + 2 * alone["focal"] + 0.25 * alone["lovasz"]
    assert float(total) == pytest.approx(expected)


def test_every_term_of_the_configuration_is_known_and_the_other_way_round() -> None:
    assert set(Loss(**dict.fromkeys(TERMS, 1.0)).terms()) == set(TERMS)  # type: ignore[arg-type]


def test_inverse_log_weights_by_hand() -> None:
    # Shares 0.75, 0.25 and 0: 1 / ln 1.77 = 1.75136, 1 / ln 1.27 = 4.18384; the absent class gets their mean, 2.96760
    raw = [1 / math.log(1.77), 1 / math.log(1.27)]
    mean = sum(raw) / 2
    assert inverse_log_weights([300, 100, 0]).tolist() == pytest.approx([raw[0] / mean, raw[1] / mean, 1.0])


def test_inverse_log_weights_have_a_mean_of_one_and_favour_the_rare() -> None:
    """Defect 19: void must not be counted as the last class; what is not counted cannot be weighted."""
    weights = inverse_log_weights([10**9, 10**6, 10**3])
    assert float(weights.mean()) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    assert inverse_log_weights([0, 0]).tolist() == [1, 1]

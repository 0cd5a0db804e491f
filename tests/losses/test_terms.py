"""Losses against slow versions and hand-computed values, and on the batches that break other people's losses."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from segmentation_models_pytorch import losses as smp_losses
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.losses import (
    TERMS,
    Pixels,
    boundary,
    cross_entropy,
    dice,
    focal,
    jaccard,
    log_jaccard,
    lovasz,
    mcc,
    ohem,
    segmentation_loss,
    tversky,
)
from random_batch import batch, only, value

# Three pixels, two classes; probabilities of class 0 are 0.9, 0.6, 0.3 and the truth is 0, 0, 1
LOGITS = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]).log()
TARGET = torch.tensor([0, 0, 1], dtype=torch.uint8)
THREE = Pixels(LOGITS.T[None, :, None, :], TARGET[None, None])


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
        (log_jaccard, -(math.log(2.5 / 3.3) + math.log(1.7 / 2.5)) / 2),
        # class 0: 1.5 shared, 0.3 too many, 0.5 missed; class 1: 0.7 shared, 0.5 too many, 0.3 missed
        (tversky, 1 - (2.5 / (2.5 + 0.3 * 0.3 + 0.7 * 0.5) + 1.7 / (1.7 + 0.3 * 0.5 + 0.7 * 0.3)) / 2),
        # the correlation of (0.9, 0.6, 0.3) with (1, 1, 0), were each pixel's class drawn by its probability
        (mcc, 1 - (1.5 / 3 - 0.6 * 2 / 3) / math.sqrt(0.6 * 0.4 * 2 / 9)),
        # p is 0.9, 0.6, 0.7: none is over 0.95, two are over 0.65
        (lambda pixels: ohem(pixels, 0.95, 0.1), 0.324287),
        (lambda pixels: ohem(pixels, 0.65, 0.1), -math.log(0.6)),
        (lambda pixels: ohem(pixels, 0.1, 0.5), -(math.log(0.6) + math.log(0.7)) / 2),
    ],
)
def test_values_by_hand(function: Callable[[Pixels], Tensor], expected: float) -> None:
    assert float(function(THREE)) == pytest.approx(expected, abs=1e-6)


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
    assert float(focal(THREE, 0.0)) == pytest.approx(float(cross_entropy(THREE)))


def test_focal_gamma_is_read_from_the_configuration() -> None:
    logits, masks = batch()
    strong, _ = segmentation_loss(logits, masks, only("focal", focal_gamma=4.0))
    assert float(strong) < value("focal", logits, masks)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.2, 3.0, 0.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_torchs_with_an_ignore_index(weights: Tensor | None, smoothing: float) -> None:
    logits, masks = batch()
    expected = functional.cross_entropy(logits, masks.long(), weights, ignore_index=255, label_smoothing=smoothing)
    config = only("cross_entropy", label_smoothing=smoothing)
    assert float(segmentation_loss(logits, masks, config, weights)[0]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_class_weights_that_are_all_zero_in_a_batch_are_no_nan(name: str) -> None:
    """A weight of 0 leaves a class out; a crop may show nothing else."""
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    masks = torch.ones(1, 2, 2, dtype=torch.uint8)
    total, _ = segmentation_loss(logits, masks, only(name, label_smoothing=0.1), torch.tensor([1.0, 0.0]))
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 16 pixels of class 0, each with probability 0.75: overlap 12, predicted 12, true 16, one pixel of smoothing
        ("dice", 1 - (24 + 1) / (12 + 16 + 1)),
        ("jaccard", 1 - (12 + 1) / (16 + 1)),
        ("lovasz", 0.25),
        ("log_dice", -math.log((24 + 1) / (12 + 16 + 1))),
        ("log_jaccard", -math.log((12 + 1) / (16 + 1))),
        ("tversky", 1 - (12 + 1) / (12 + 0.7 * 4 + 1)),
        ("focal_tversky", (1 - (12 + 1) / (12 + 0.7 * 4 + 1)) ** 0.75),
        ("lovasz_hinge", 1 - math.log(0.75)),
        ("mcc", 0),  # nothing varies
        ("boundary", 0),  # there is none
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
    assert set(Loss(**dict.fromkeys(TERMS, 1.0)).get_term_weights()) == set(TERMS)  # type: ignore[arg-type]


def slow_lovasz(errors: np.ndarray, truth: np.ndarray) -> float:
    """Lovász extension of the Jaccard loss by its definition: errors in falling order, each times the loss it adds."""
    order, total, before = np.argsort(-errors, kind="stable"), 0.0, 0.0
    for count in range(1, len(order) + 1):
        wrong = np.zeros(len(order), bool)
        wrong[order[:count]] = True
        after = wrong.sum() / (truth | wrong).sum()
        total += errors[order[count - 1]] * (after - before)
        before = after
    return total


def compute_slowly(x: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return the value of each term by its name, pixel by pixel: x (pixels, classes) logits, target (pixels,)."""
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    own = p[np.arange(len(p)), target]
    per_class, signs = [], np.where(np.eye(x.shape[1], dtype=bool)[target], 1, -1)
    for c in sorted(set(target.tolist())):
        truth = target == c
        tp, fp, fn = p[truth, c].sum(), p[~truth, c].sum(), (1 - p[truth, c]).sum()
        tn = len(p) - tp - fp - fn
        tversky_index = (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)
        per_class.append({
            "dice": 1 - (2 * tp + 1) / (2 * tp + fp + fn + 1),
            "log_dice": -math.log((2 * tp + 1) / (2 * tp + fp + fn + 1)),
            "jaccard": 1 - (tp + 1) / (tp + fp + fn + 1),
            "log_jaccard": -math.log((tp + 1) / (tp + fp + fn + 1)),
            "tversky": 1 - tversky_index,
            "focal_tversky": (1 - tversky_index) ** 0.75,
            "lovasz": slow_lovasz(np.abs(truth - p[:, c]), truth),
            "lovasz_hinge": slow_lovasz(np.maximum(0, 1 - x[:, c] * signs[:, c]), truth),
            "mcc": 1 - (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        })  # fmt: skip
    hard = sorted(-np.log(own), reverse=True)
    kept = max(math.ceil(0.0625 * len(own)), int((own <= 0.7).sum()))
    return {name: float(np.mean([values[name] for values in per_class])) for name in per_class[0]} | {
        "cross_entropy": -np.log(own).mean(),
        "binary_cross_entropy": np.mean(np.log(1 + np.exp(-signs * x))),
        "ohem": np.mean(hard[:kept]),
        "focal": np.mean(-((1 - own) ** 2) * np.log(own)),
    }


@pytest.mark.parametrize("seed", range(3))
def test_terms_equal_their_slow_versions(seed: int) -> None:
    """A term without a slow version is tested by `tests/contracts/test_losses.py` alone."""
    logits, masks = batch(seed)
    logits *= 2
    x, target = logits.permute(0, 2, 3, 1)[masks != 255].double().numpy(), masks[masks != 255].long().numpy()
    expected = compute_slowly(x, target)
    assert {name: value(name, logits, masks) for name in expected} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_ohem_keeps_a_share_of_the_valid_pixels_where_all_are_easy(share: float) -> None:
    """Void pixels are neither hard nor counted."""
    logits, masks = batch()
    surprise = -logits.log_softmax(1).permute(0, 2, 3, 1)[masks != 255].gather(1, masks[masks != 255].long()[:, None])
    kept = math.ceil(share * int((masks != 255).sum()))
    expected = surprise.flatten().sort(descending=True).values[:kept].mean()
    config = only("ohem", ohem_threshold=0.0, ohem_min_kept=share)
    assert float(segmentation_loss(logits, masks, config)[0]) == pytest.approx(float(expected), abs=1e-5)


def slow_boundary(p: np.ndarray, mask: np.ndarray, tolerance: int) -> float:
    """1 - boundary F1 of one image, p (classes, H, W), mask (H, W) with 255 for void."""
    height, width = mask.shape

    def near(y: int, x: int, far: int) -> list[tuple[int, int]]:
        window = [(y + dy, x + dx) for dy in range(-far, far + 1) for dx in range(-far, far + 1)]
        return [(v, u) for v, u in window if 0 <= v < height and 0 <= u < width and mask[v, u] != 255]

    def edges(values: np.ndarray) -> np.ndarray:
        found = np.zeros((height, width))
        for y, x in np.argwhere(mask != 255):
            found[y, x] = values[y, x] - min(values[place] for place in near(y, x, 1))
        return found

    def share(ours: np.ndarray, theirs: np.ndarray) -> float:
        hits = sum(ours[y, x] * max(theirs[at] for at in near(y, x, tolerance)) for y, x in np.argwhere(mask != 255))
        return hits / ours.sum()

    scores = []
    for c in range(len(p)):
        truth, found = edges((mask == c).astype(float)), edges(p[c])
        if truth.any():
            precision, recall = share(found, truth), share(truth, found)
            scores.append(2 * precision * recall / (precision + recall))
    return 1 - float(np.mean(scores))


@pytest.mark.parametrize("tolerance", [1, 2])
@pytest.mark.parametrize("seed", range(2))
def test_boundary_equals_its_slow_version(tolerance: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 3, 12, 14, generator=generator)
    masks = torch.zeros(1, 12, 14, dtype=torch.uint8)
    masks[:, 4:, 6:], masks[:, 9:, :5], masks[:, 2:7, 5:8] = 1, 2, 255
    expected = slow_boundary(logits.softmax(1)[0].double().numpy(), masks[0].numpy(), tolerance)
    assert float(boundary(Pixels(logits, masks), tolerance)) == pytest.approx(expected, abs=1e-4)


def test_a_boundary_within_the_tolerance_costs_nothing_and_one_beyond_it_all() -> None:
    def halves(at: int) -> Tensor:
        return (torch.arange(32) >= at).to(torch.uint8).expand(1, 8, 32)

    def cost(at: int) -> float:
        logits = 100.0 * torch.stack([halves(at) == 0, halves(at) == 1], 1)
        return value("boundary", logits, halves(16))

    assert [cost(at) for at in (14, 16, 18)] == pytest.approx([0, 0, 0], abs=1e-5)
    assert [cost(at) for at in (4, 24)] == pytest.approx([1, 1], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cross_entropy", {"label_smoothing": 0.3}),
        ("ohem", {"ohem_threshold": 0.05, "ohem_min_kept": 0.5}),
        ("tversky", {"tversky_fp": 2.0}),
        ("tversky", {"tversky_fn": 2.0}),
        ("focal_tversky", {"tversky_fp": 2.0}),
        ("focal_tversky", {"focal_tversky_gamma": 2.0}),
        ("boundary", {"boundary_tolerance": 1}),
    ],
)
def test_every_setting_of_a_term_is_read_from_the_configuration(name: str, settings: dict[str, float]) -> None:
    logits, masks = batch()
    changed, _ = segmentation_loss(logits, masks, only(name, **settings))
    assert abs(float(changed) - value(name, logits, masks)) > 1e-3

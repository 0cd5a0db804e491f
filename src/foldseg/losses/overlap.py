"""Losses that compare the areas of truth, prediction and overlap, as means over classes.

Each takes `Pixels` and returns a scalar. Which classes count says `Pixels.counted_classes`: the classes present in the
batch or, if classes overlap, all of them. All losses are 0 if every pixel is void.
"""

from torch import Tensor

from foldseg.losses.pixels import Pixels, mean_where

_SMOOTH = 1.0
"""Pixels added to both sides of a ratio, so that a rare class neither divides by zero nor dominates."""

_TINY = 1e-12


def dice(pixels: Pixels) -> Tensor:
    """Return 1 - mean soft Dice (Milletari et al., 2016, arXiv:1606.04797)."""
    return _mean(1 - _dice(pixels), pixels)


def log_dice(pixels: Pixels) -> Tensor:
    """Return the mean of -log soft Dice.

    For a class that is missed it is as steep as cross-entropy for a pixel that is missed.
    """
    return _mean(-_dice(pixels).log(), pixels)


def jaccard(pixels: Pixels) -> Tensor:
    """Return 1 - mean soft intersection over union."""
    return _mean(1 - _jaccard(pixels), pixels)


def log_jaccard(pixels: Pixels) -> Tensor:
    """Return the mean of -log soft intersection over union (Iglovikov et al., 2017, arXiv:1706.06169).

    The AI Edge predecessor's loss, (1 - w) cross-entropy - w log J, is `{cross_entropy: 1 - w, log_jaccard: w}`.
    """
    return _mean(-_jaccard(pixels).log(), pixels)


def tversky(pixels: Pixels, fp: float = 0.3, fn: float = 0.7) -> Tensor:
    """Return 1 - mean Tversky index (Salehi et al., 2017, arXiv:1706.05721).

    `fp` and `fn`: weights of false positives and of false negatives.
    """
    return _mean(1 - _tversky(pixels, fp, fn), pixels)


def focal_tversky(pixels: Pixels, fp: float = 0.3, fn: float = 0.7, gamma: float = 0.75) -> Tensor:
    """Return the mean of (1 - Tversky index)^gamma (Abraham and Khan, 2019, arXiv:1810.07842).

    Their 1/gamma is our gamma.
    """
    return _mean((1 - _tversky(pixels, fp, fn)).clamp(min=_TINY) ** gamma, pixels)


def mcc(pixels: Pixels) -> Tensor:
    """Return 1 - mean Matthews correlation of probability and truth (Abhishek and Hamarneh, 2021, arXiv:2010.13454).

    Only classes that some but not all pixels have count, because correlation with a constant is not defined.
    """
    overlap, predicted, true = (area / pixels.count for area in pixels.areas)
    # (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)), in shares of the pixels
    variance = predicted * (1 - predicted) * true * (1 - true)
    correlation = (overlap - predicted * true) / variance.clamp(min=1e-16).sqrt()
    is_defined = (true > 0) & (true < 1)
    return mean_where(1 - correlation, is_defined * pixels.counted_classes)


def _dice(pixels: Pixels) -> Tensor:
    overlap, predicted, true = pixels.areas
    return (2 * overlap + _SMOOTH) / (predicted + true + _SMOOTH)


def _jaccard(pixels: Pixels) -> Tensor:
    overlap, predicted, true = pixels.areas
    return (overlap + _SMOOTH) / (predicted + true - overlap + _SMOOTH)


def _tversky(pixels: Pixels, fp: float, fn: float) -> Tensor:
    overlap, predicted, true = pixels.areas
    return (overlap + _SMOOTH) / (overlap + fp * (predicted - overlap) + fn * (true - overlap) + _SMOOTH)


def _mean(per_class: Tensor, pixels: Pixels) -> Tensor:
    return mean_where(per_class, pixels.counted_classes)

"""Class weights of the cross-entropy from the numbers of training pixels, scaled to a mean of 1.

Each rule takes `pixels` (images, classes), the pixels of every class in every training mask, and returns (classes,)
float32. A class without pixels gets the mean weight.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.class_weights import (
    ClassWeights,
    EffectiveNumber,
    EqualWeights,
    GivenWeights,
    InverseLog,
    MedianFrequency,
)

Pixels = NDArray[np.int64]


def inverse_log_weights(pixels: Pixels) -> Tensor:
    """1 / log(1.02 + share of the pixels) (ENet; Paszke et al., 2016, arXiv:1606.02147)."""
    counts = pixels.sum(0).astype(np.float64)
    return _scaled(1 / np.log(1.02 + counts / max(1, counts.sum())), counts)


def median_frequency_weights(pixels: Pixels) -> Tensor:
    """Median frequency / frequency, the share of the pixels of those images that show the class.

    Eigen and Fergus (2015, arXiv:1411.4734); SegNet's weights.
    """
    counts = pixels.sum(0).astype(np.float64)
    around = ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
    frequency = counts / np.maximum(1, around)
    return _scaled(np.median(frequency[counts > 0]) / np.maximum(frequency, 1e-300) if counts.any() else counts, counts)


def effective_number_weights(pixels: Pixels, beta: float) -> Tensor:
    """(1 - beta) / (1 - beta^n) of n pixels (Cui et al., 2019, arXiv:1901.05555).

    Near 1 / n for classes of far fewer than 1 / (1 - beta) pixels, equal for those of far more.
    """
    counts = pixels.sum(0).astype(np.float64)
    effective = -np.expm1(counts * np.log(beta)) / (1 - beta)
    return _scaled(1 / np.maximum(effective, 1e-300), counts)


CountPixels = Callable[[], Pixels]
"""Counts the pixels of all training masks, which takes long: for rules that need them alone."""


def _all_equal(config: EqualWeights, count: CountPixels) -> None:
    return None


def _by_inverse_log(config: InverseLog, count: CountPixels) -> Tensor:
    return inverse_log_weights(count())


def _by_median_frequency(config: MedianFrequency, count: CountPixels) -> Tensor:
    return median_frequency_weights(count())


def _by_effective_number(config: EffectiveNumber, count: CountPixels) -> Tensor:
    return effective_number_weights(count(), config.beta)


def _as_given(config: GivenWeights, count: CountPixels) -> Tensor:
    return torch.tensor(config.weights)


CLASS_WEIGHTS: dict[type[ClassWeights], Callable[[Any, CountPixels], Tensor | None]] = {
    EqualWeights: _all_equal,
    InverseLog: _by_inverse_log,
    MedianFrequency: _by_median_frequency,
    EffectiveNumber: _by_effective_number,
    GivenWeights: _as_given,
}
"""Settings -> weights (classes,), or None for equal ones."""
check_entries(CLASS_WEIGHTS, ClassWeights, "losses/class_weights.py: CLASS_WEIGHTS")


def _scaled(weights: NDArray[np.float64], counts: NDArray[np.float64]) -> Tensor:
    weights = np.where(counts > 0, weights, weights[counts > 0].mean() if counts.any() else 1.0)
    return torch.from_numpy(weights / weights.mean()).float()

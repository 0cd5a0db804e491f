"""Computes weights of classes from the numbers of their training pixels. The mean of the weights is 1.

Each rule takes `pixels` (images, classes), the number of pixels of every class in every training mask, and returns
weights (classes,) float32. A class without pixels gets the mean weight.
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

PixelCounts = NDArray[np.int64]


def inverse_log_weights(pixels: PixelCounts) -> Tensor:
    """Return 1 / log(1.02 + share of the pixels) (ENet; Paszke et al., 2016, arXiv:1606.02147)."""
    counts = pixels.sum(0).astype(np.float64)
    return _scale(1 / np.log(1.02 + counts / max(1, counts.sum())), counts)


def median_frequency_weights(pixels: PixelCounts) -> Tensor:
    """Return the median of all classes' frequencies, divided by the class's frequency.

    The frequency of a class is its share of the pixels of those images that show it. Eigen and Fergus (2015,
    arXiv:1411.4734); SegNet's weights.
    """
    counts = pixels.sum(0).astype(np.float64)
    if not counts.any():
        return _scale(counts, counts)
    pixels_of_images_with_class = ((pixels > 0) * pixels.sum(1, keepdims=True)).sum(0)
    frequency = counts / np.maximum(1, pixels_of_images_with_class)
    median = np.median(frequency[counts > 0])
    return _scale(median / np.maximum(frequency, 1e-300), counts)


def effective_number_weights(pixels: PixelCounts, beta: float) -> Tensor:
    """Return (1 - beta) / (1 - beta^n) for n pixels (Cui et al., 2019, arXiv:1901.05555).

    Classes with far fewer pixels than 1 / (1 - beta) get about 1 / n. Classes with far more get equal weights.
    """
    counts = pixels.sum(0).astype(np.float64)
    effective = -np.expm1(counts * np.log(beta)) / (1 - beta)
    return _scale(1 / np.maximum(effective, 1e-300), counts)


CountPixels = Callable[[], PixelCounts]
"""Counts the pixels of all training masks. That takes long, so only rules that need the counts call it."""

CLASS_WEIGHTS: dict[type[ClassWeights], Callable[[Any, CountPixels], Tensor | None]] = {
    EqualWeights: lambda config, count: None,
    InverseLog: lambda config, count: inverse_log_weights(count()),
    MedianFrequency: lambda config, count: median_frequency_weights(count()),
    EffectiveNumber: lambda config, count: effective_number_weights(count(), config.beta),
    GivenWeights: lambda config, count: torch.tensor(config.weights),
}
"""Settings and a function that counts pixels -> weights (classes,), or None for equal ones."""
check_entries(CLASS_WEIGHTS, ClassWeights, "losses/class_weights.py: CLASS_WEIGHTS")


def _scale(weights: NDArray[np.float64], counts: NDArray[np.float64]) -> Tensor:
    """Return weights with a mean of 1. Classes without pixels get the mean weight of the others."""
    mean = weights[counts > 0].mean() if counts.any() else 1.0
    weights = np.where(counts > 0, weights, mean)
    return torch.from_numpy(weights / weights.mean()).float()

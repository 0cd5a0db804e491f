"""Class weights of the cross-entropy from the numbers of training pixels, scaled to a mean of 1.

Each takes `pixels` (images, classes), the pixels of every class in every training mask, and returns (classes,)
float32. A class without pixels gets the mean weight.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldseg.config.schema import Loss

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


CLASS_WEIGHTS: dict[str, Callable[[Pixels, Loss], Tensor]] = {
    "inverse_log": lambda pixels, _: inverse_log_weights(pixels),
    "median_frequency": lambda pixels, _: median_frequency_weights(pixels),
    "effective_number": lambda pixels, config: effective_number_weights(pixels, config.effective_number_beta),
}


def _scaled(weights: NDArray[np.float64], counts: NDArray[np.float64]) -> Tensor:
    weights = np.where(counts > 0, weights, weights[counts > 0].mean() if counts.any() else 1.0)
    return torch.from_numpy(weights / weights.mean()).float()

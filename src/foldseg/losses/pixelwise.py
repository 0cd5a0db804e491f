"""Losses that are means over pixels. Each takes `Pixels` and returns a scalar, 0 when every pixel is void."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.data.labels import IGNORE_INDEX
from foldseg.losses.pixels import Pixels, mean_where

_TINY = 1e-12


def cross_entropy(pixels: Pixels, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy in nats.

    With class weights (classes,) it is the weighted mean, as torch defines it. `smoothing` is the share of
    the truth that is spread over all classes (Szegedy et al., 2016, arXiv:1512.00567).
    """
    log_probabilities = pixels.log_probabilities
    total = functional.nll_loss(log_probabilities, pixels.target, weights, ignore_index=IGNORE_INDEX, reduction="sum")
    if smoothing > 0:
        scale = 1.0 if weights is None else weights[:, None, None]
        uniform = -((log_probabilities * scale).mean(1) * pixels.valid).sum()
        total = (1 - smoothing) * total + smoothing * uniform
    if weights is None:
        return total / pixels.count
    total_weight = pixels.weigh(weights).sum()
    return total / total_weight.where(total_weight > 0, 1.0) * (total_weight > 0)


def binary_cross_entropy(pixels: Pixels, positive_weights: Tensor | None = None) -> Tensor:
    """Return the mean over pixels and classes of the cross-entropy of a sigmoid per class, in nats.

    It is one class against the rest, for each class. `positive_weights` (classes,) or (1,) multiply the losses of a
    class where the truth has it. None: 1.
    """
    losses = functional.softplus(pixels.logits) - torch.where(pixels.truth, pixels.logits, 0.0)
    if positive_weights is not None:
        losses = losses * torch.where(pixels.truth, positive_weights[:, None, None], 1.0)
    return pixels.mean_over_classes(losses)


def focal(pixels: Pixels, gamma: float = 2.0) -> Tensor:
    """Return the mean of (1 - p)^gamma * cross-entropy (Lin et al., 2017, arXiv:1708.02002)."""
    losses = pixels.cross_entropies
    probabilities = torch.exp(-losses)
    return pixels.mean((1 - probabilities).clamp(min=_TINY) ** gamma * losses)


def ohem(pixels: Pixels, threshold: float = 0.7, min_kept: float = 0.0625, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of the hard pixels: online hard example mining.

    A pixel is hard if its own class has a probability of at most `threshold`. At least a share `min_kept` of the valid
    pixels counts, the hardest ones. With class weights (classes,) it is the weighted mean. Shrivastava et al., 2016,
    arXiv:1604.03540; for pixels in Wu et al., 2016, arXiv:1605.06885.
    """
    losses = pixels.cross_entropies
    ranked = losses.detach().where(pixels.valid, -1.0).flatten()
    hardest = ranked.topk(max(1, math.ceil(min_kept * ranked.numel()))).values
    last = (min_kept * pixels.count).ceil().long().clamp(1, len(hardest)) - 1
    limit = hardest.gather(0, last[None]).clamp(max=-math.log(max(threshold, _TINY)))
    is_hard = losses.detach() >= limit
    return mean_where(losses, pixels.weigh(weights) * is_hard)

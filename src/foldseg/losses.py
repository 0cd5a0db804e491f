"""Losses as pure functions, and the weighted sum of them.

Each takes logits (P, classes) float32 and targets (P,) int64 of the *valid* pixels of a batch, and returns a scalar.
`segmentation_loss` is what training calls: it drops void pixels, computes in float32 whatever the precision of the
network, and is a differentiable zero on a batch that is all void. (The losses of smp divide by void pixels, crash in
half precision or are NaN there.)
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.data.labels import IGNORE_INDEX

_SMOOTH = 1.0
"""Pixels added to both sides of a ratio, so that an absent class neither divides by zero nor dominates."""


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy in nats; with class weights (classes,) the weighted mean, as torch defines it."""
    if weights is not None and not bool(weights[target].any()):
        return logits.sum() * 0  # torch would divide by the sum of the weights
    return functional.cross_entropy(logits, target, weights)


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean of (1 - p)^gamma * cross-entropy (Lin et al., 2017, arXiv:1708.02002)."""
    log_p = functional.log_softmax(logits, 1).gather(1, target[:, None])[:, 0]
    return -((1 - log_p.exp()).clamp(min=0) ** gamma * log_p).mean()


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - mean soft Dice over the classes present in the batch (Milletari et al., 2016, arXiv:1606.04797)."""
    overlap, predicted, true = _soft_areas(logits, target)
    ratio = (2 * overlap + _SMOOTH) / (predicted + true + _SMOOTH)
    return 1 - ratio[true > 0].mean()


def jaccard(logits: Tensor, target: Tensor) -> Tensor:
    """1 - mean soft intersection over union over the classes present in the batch."""
    overlap, predicted, true = _soft_areas(logits, target)
    ratio = (overlap + _SMOOTH) / (predicted + true - overlap + _SMOOTH)
    return 1 - ratio[true > 0].mean()


def lovasz(logits: Tensor, target: Tensor) -> Tensor:
    """Lovász-Softmax over the classes present in the batch (Berman et al., 2018, arXiv:1705.08790)."""
    present = torch.unique(target)
    truth = (target[None, :] == present[:, None]).float()
    errors = (truth - logits.softmax(1).T[present]).abs()
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    # The gradient of the Jaccard index's Lovász extension: how the index falls as errors are added one by one
    seen = truth.cumsum(1)
    total = seen[:, -1:]
    fall = 1 - (total - seen) / (total + (1 - truth).cumsum(1))
    steps = torch.cat([fall[:, :1], fall[:, 1:] - fall[:, :-1]], 1)
    return (errors * steps).sum(1).mean()


def _soft_areas(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per class: overlap of probability and truth, area of probability, area of truth; all in pixels."""
    p = logits.softmax(1)
    true = torch.bincount(target, minlength=p.shape[1]).to(p)
    own = p.gather(1, target[:, None])[:, 0]
    overlap = torch.zeros_like(true).index_add(0, target, own)
    return overlap, p.sum(0), true


TERMS: dict[str, Callable[[Tensor, Tensor, Loss, Tensor | None], Tensor]] = {
    "cross_entropy": lambda logits, target, _, weights: cross_entropy(logits, target, weights),
    "focal": lambda logits, target, config, _: focal(logits, target, config.focal_gamma),
    "dice": lambda logits, target, *_: dice(logits, target),
    "jaccard": lambda logits, target, *_: jaccard(logits, target),
    "lovasz": lambda logits, target, *_: lovasz(logits, target),
}


def segmentation_loss(
    logits: Tensor, masks: Tensor, config: Loss, weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the terms that `config` switches on, and each term's own value (detached).

    logits (N, classes, H, W) of any precision, masks (N, H, W) with 255 for void, weights (classes,) for the
    cross-entropy. Finite whenever the logits are; exactly zero, with zero gradients, when every pixel is void.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        valid = masks != IGNORE_INDEX
        if not bool(valid.any()):
            zero = logits.sum() * 0
            return zero, {name: zero.detach() for name in config.terms()}
        pixels = logits.permute(0, 2, 3, 1)[valid]
        target = masks[valid].long()
        terms = {name: TERMS[name](pixels, target, config, weights) for name in config.terms()}
        total = torch.stack([weight * terms[name] for name, weight in config.terms().items()]).sum()
    return total, {name: term.detach() for name, term in terms.items()}


def inverse_log_weights(pixels: Sequence[int]) -> Tensor:
    """Class weights 1 / log(1.02 + share), scaled to a mean of 1 (ENet; Paszke et al., 2016, arXiv:1606.02147).

    `pixels` are the numbers of training pixels per class. A class without pixels gets the mean weight.
    """
    counts = torch.tensor(pixels, dtype=torch.float64)
    weights = 1 / torch.log(1.02 + counts / counts.sum().clamp(min=1))
    weights[counts == 0] = weights[counts > 0].mean() if (counts > 0).any() else 1.0
    return (weights / weights.mean()).float()

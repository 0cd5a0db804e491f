"""Losses that order pixels or look at their neighbours: Lovász extensions of the IoU, and class boundaries.

Each takes `Pixels` and returns a scalar, as a mean over the classes present in the batch; 0 when every pixel is void.
"""

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.losses.pixels import Pixels, mean_where

_SMOOTH = 1e-8


def lovasz(pixels: Pixels) -> Tensor:
    """Lovász-Softmax (Berman et al., 2018, arXiv:1705.08790)."""
    present = _present(pixels)
    truth = _per_class(pixels.truth, present).float()
    return _lovasz_extension((truth - _per_class(pixels.probabilities, present)).abs(), truth, pixels)


def lovasz_hinge(pixels: Pixels) -> Tensor:
    """Lovász hinge of the logits, one class against the rest (Berman et al., 2018, equation 7)."""
    present = _present(pixels)
    truth = _per_class(pixels.truth, present).float()
    margins = _per_class(pixels.logits, present) * (2 * truth - 1)
    return _lovasz_extension(functional.relu(1 - margins), truth, pixels)


def boundary(pixels: Pixels, tolerance: int = 2) -> Tensor:
    """1 - mean boundary F1, a boundary being found within `tolerance` pixels (Bokhovkin and Burnaev, 2019).

    arXiv:1905.07852. A pixel is on a class's boundary as far as a neighbour is less of that class; void pixels and
    what lies outside of the image are no neighbours. It says nothing about pixels far from boundaries: add it to
    another term.
    """
    truth = _edges(pixels.truth.float(), pixels.valid)
    predicted = _edges(pixels.probabilities, pixels.valid)
    precision = _share(predicted, _widened(truth, tolerance))
    recall = _share(truth, _widened(predicted, tolerance))
    f1 = 2 * precision * recall / (precision + recall + _SMOOTH)
    return mean_where(1 - f1, truth.amax((0, 2, 3)) > 0)


def _present(pixels: Pixels) -> Tensor:
    """Indices of the classes present. The host waits for them: sorting the pixels of every class would take longer."""
    return pixels.truth.any(3).any(2).any(0).nonzero()[:, 0]


def _per_class(maps: Tensor, classes: Tensor) -> Tensor:
    """(N, all classes, H, W) -> (chosen classes, N * H * W)."""
    return maps[:, classes].transpose(0, 1).flatten(1)


def _lovasz_extension(errors: Tensor, truth: Tensor, pixels: Pixels) -> Tensor:
    """Mean over classes of the Jaccard loss's Lovász extension; errors >= 0, truth 0 or 1, both (classes, pixels)."""
    if len(errors) == 0:
        return pixels.logits.sum() * 0
    errors, order = errors.masked_fill(~pixels.valid.flatten(), -1.0).sort(dim=1, descending=True)  # void comes last
    truth = truth.gather(1, order)
    # The gradient of the extension: how the index falls as errors are added one by one
    seen = truth.cumsum(1)
    total = seen[:, -1:]
    fall = 1 - (total - seen) / (total + (1 - truth).cumsum(1))
    steps = torch.cat([fall[:, :1], fall[:, 1:] - fall[:, :-1]], 1)
    return (errors.clamp(min=0) * steps).sum(1).mean()


def _edges(maps: Tensor, valid: Tensor) -> Tensor:
    """(N, classes, H, W) in 0..1 -> how far each valid pixel's value is above the least of its 3x3 neighbours'."""
    known = valid[:, None]
    least = -functional.max_pool2d(-maps.where(known, 1.0), 3, 1, 1)
    return (maps - least) * known


def _widened(edges: Tensor, tolerance: int) -> Tensor:
    """The strongest edge within `tolerance` pixels (of a square)."""
    return functional.max_pool2d(edges, 2 * tolerance + 1, 1, tolerance)


def _share(edges: Tensor, near: Tensor) -> Tensor:
    """(classes,): the share of the edges that are near the other ones, 0..1."""
    return (edges * near).sum((0, 2, 3)) / (edges.sum((0, 2, 3)) + _SMOOTH)

"""Losses that order pixels or look at their neighbours: Lovász extensions of the IoU, and class boundaries.

Each takes `Pixels` and returns a scalar, the mean over the classes that count (`Pixels.counted_classes`). It is 0 if
every pixel is void.
"""

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.losses.pixels import Pixels, mean_where

_SMOOTH = 1e-8


def lovasz(pixels: Pixels) -> Tensor:
    """Return the Lovász-Softmax loss (Berman et al., 2018, arXiv:1705.08790)."""
    classes = pixels.list_counted_classes()
    truth = _flatten_classes(pixels.truth, classes).float()
    return _lovasz_extension((truth - _flatten_classes(pixels.probabilities, classes)).abs(), truth, pixels)


def lovasz_hinge(pixels: Pixels) -> Tensor:
    """Return the Lovász hinge of the logits, one class against the rest (Berman et al., 2018, equation 7)."""
    classes = pixels.list_counted_classes()
    truth = _flatten_classes(pixels.truth, classes).float()
    margins = _flatten_classes(pixels.logits, classes) * (2 * truth - 1)
    return _lovasz_extension(functional.relu(1 - margins), truth, pixels)


def boundary(pixels: Pixels, tolerance: int = 2) -> Tensor:
    """Return 1 - mean boundary F1 score (Bokhovkin and Burnaev, 2019, arXiv:1905.07852).

    Boundaries match within `tolerance` pixels. A pixel is on a class's boundary to the degree to which a neighbour is
    less of that class. Void pixels and the outside of the image are no neighbours. Pixels far from boundaries have no
    gradient, so add this term to another one.
    """
    truth = _find_edges(pixels.truth.float(), pixels.valid)
    predicted = _find_edges(pixels.probabilities, pixels.valid)
    precision = _compute_share(predicted, _widen(truth, tolerance))
    recall = _compute_share(truth, _widen(predicted, tolerance))
    f1 = 2 * precision * recall / (precision + recall + _SMOOTH)
    return mean_where(1 - f1, (truth.amax((0, 2, 3)) > 0) * pixels.counted_classes)


def _flatten_classes(maps: Tensor, classes: Tensor) -> Tensor:
    """Return the maps (N, all classes, H, W) of some classes as (these classes, N * H * W)."""
    return maps[:, classes].transpose(0, 1).flatten(1)


def _lovasz_extension(errors: Tensor, truth: Tensor, pixels: Pixels) -> Tensor:
    """Return the mean over classes of the Lovász extension of the Jaccard loss.

    errors (at least 0) and truth (0 or 1) are (classes, pixels).
    """
    if len(errors) == 0:
        return pixels.logits.sum() * 0
    errors = errors.masked_fill(~pixels.valid.flatten(), -1.0)  # void pixels then come last
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    # The gradient of the extension: how much the Jaccard loss rises as errors are added one by one
    missed = truth.cumsum(1)
    total = missed[:, -1:]
    jaccard_loss = 1 - (total - missed) / (total + (1 - truth).cumsum(1))
    rises = torch.cat([jaccard_loss[:, :1], jaccard_loss[:, 1:] - jaccard_loss[:, :-1]], 1)
    per_class = (errors.clamp(min=0) * rises).sum(1)
    return per_class.mean() if pixels.class_weights is None else mean_where(per_class, pixels.class_weights)


def _find_edges(maps: Tensor, valid: Tensor) -> Tensor:
    """Return how far the value of each valid pixel is above the lowest one in its 3x3 neighbourhood.

    maps: (N, classes, H, W) in 0..1; the result has the same shape.
    """
    is_valid = valid[:, None]
    least = -functional.max_pool2d(-maps.where(is_valid, 1.0), 3, 1, 1)
    return (maps - least) * is_valid


def _widen(edges: Tensor, tolerance: int) -> Tensor:
    """Return the strongest edge within a square of `tolerance` pixels to each side."""
    return functional.max_pool2d(edges, 2 * tolerance + 1, 1, tolerance)


def _compute_share(edges: Tensor, near: Tensor) -> Tensor:
    """Return the share of each class's edges that are near other edges: (classes,) in 0..1."""
    return (edges * near).sum((0, 2, 3)) / (edges.sum((0, 2, 3)) + _SMOOTH)

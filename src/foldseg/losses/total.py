"""Computes the loss: the weighted sum of the terms that a configuration switches on.

Every term sees only valid pixels. It is computed in float32, whatever the precision of the network. If all pixels of a
batch are void, it is a differentiable zero. (The losses of smp divide by the number of void pixels, too, crash in half
precision, or are NaN for such a batch.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config.schema import Loss
from foldseg.config.schema.choice import check_entries
from foldseg.errors import FoldsegError
from foldseg.losses import overlap, pixelwise, shape
from foldseg.losses.pixels import OverlappingPixels, Pixels
from foldseg.models.network_outputs import NetworkOutputs


@dataclass(frozen=True)
class Term:
    """A term of the loss, and what it promises. `tests/contracts/test_losses.py` tests the promises."""

    compute: Callable[[Pixels, Loss, Tensor | None], Tensor]
    """A function of pixels, settings and class weights (classes,) or None. It returns a scalar, at least 0.

    Class weights are given for exclusive classes only. Those of overlapping classes are in the pixels.
    """
    is_spatial: bool = False
    """Whether it matters where a pixel is."""
    has_gradient_everywhere: bool = True
    """Whether every valid pixel has a gradient, not only those that are wrong."""


TERMS: dict[str, Term] = {
    "cross_entropy": Term(
        lambda pixels, config, weights: pixelwise.cross_entropy(pixels, weights, config.label_smoothing)
    ),
    "binary_cross_entropy": Term(
        lambda pixels, config, _: pixelwise.binary_cross_entropy(pixels, _find_positive_weights(pixels, config))
    ),
    "ohem": Term(
        lambda pixels, config, weights: pixelwise.ohem(pixels, config.ohem_threshold, config.ohem_min_kept, weights),
        has_gradient_everywhere=False,
    ),
    "focal": Term(lambda pixels, config, _: pixelwise.focal(pixels, config.focal_gamma)),
    "dice": Term(lambda pixels, *_: overlap.dice(pixels)),
    "log_dice": Term(lambda pixels, *_: overlap.log_dice(pixels)),
    "jaccard": Term(lambda pixels, *_: overlap.jaccard(pixels)),
    "log_jaccard": Term(lambda pixels, *_: overlap.log_jaccard(pixels)),
    "tversky": Term(lambda pixels, config, _: overlap.tversky(pixels, config.tversky_fp, config.tversky_fn)),
    "focal_tversky": Term(
        lambda pixels, config, _: overlap.focal_tversky(
            pixels, config.tversky_fp, config.tversky_fn, config.focal_tversky_gamma
        )
    ),
    "lovasz": Term(lambda pixels, *_: shape.lovasz(pixels)),
    "lovasz_hinge": Term(lambda pixels, *_: shape.lovasz_hinge(pixels), has_gradient_everywhere=False),
    "mcc": Term(lambda pixels, *_: overlap.mcc(pixels)),
    "boundary": Term(
        lambda pixels, config, _: shape.boundary(pixels, config.boundary_tolerance),
        is_spatial=True,
        has_gradient_everywhere=False,
    ),
}
check_entries(TERMS, Loss.list_term_names(), "losses/total.py: TERMS")


def _find_positive_weights(pixels: Pixels, config: Loss) -> Tensor | None:
    """Return the weights (classes,) or (1,) of what is positive in the binary cross-entropy; None if all are 1."""
    weights = config.positive_weights
    return None if weights == 1.0 else pixels.logits.new_tensor(weights).reshape(-1)


def outputs_loss(
    outputs: NetworkOutputs, masks: Tensor, config: Loss, weights: Tensor | None = None, overlapping: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of logits, auxiliary logits (deep supervision) and presence, and each part's value (detached).

    Auxiliary logits are resized to the masks, bilinearly. Each of them has the same loss as the logits, times
    `auxiliary_weight` (Lee et al., 2015, arXiv:1409.5185). The other arguments are those of `segmentation_loss`.
    """
    total, parts = segmentation_loss(outputs.logits, masks, config, weights, overlapping)
    if outputs.auxiliary and config.auxiliary_weight > 0:
        losses = []
        for logits in outputs.auxiliary:
            loss, _ = segmentation_loss(_resize(logits, masks), masks, config, weights, overlapping)
            losses.append(loss)
        auxiliary = torch.stack(losses).sum()
        total = total + config.auxiliary_weight * auxiliary
        parts["auxiliary"] = auxiliary.detach()
    if config.presence > 0:
        if outputs.presence is None:
            raise FoldsegError("loss.presence: is above 0, but the network has no head that says which classes occur")
        presence = presence_loss(outputs.presence, masks, overlapping)
        total = total + config.presence * presence
        parts["presence"] = presence.detach()
    return total, parts


def segmentation_loss(
    logits: Tensor, masks: Tensor, config: Loss, weights: Tensor | None = None, overlapping: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the terms that `config` switches on, and each term's own value (detached).

    logits: (N, classes, H, W) of any precision. masks: (N, H, W) uint8 with 255 for void; they hold class indices or,
    if classes are `overlapping`, class bits. weights: (classes,), those of exclusive classes for the cross-entropy,
    those of overlapping classes for all terms. The loss is finite if the logits are. If every pixel is void, it is
    exactly 0, with zero gradients.
    """
    with torch.autocast(logits.device.type, enabled=False):
        pixels = Pixels(logits.float(), masks)
        if overlapping:
            pixels, weights = OverlappingPixels(logits.float(), masks, weights), None
        terms = {name: TERMS[name].compute(pixels, config, weights) for name in config.get_term_weights()}
        weighted_terms = [weight * terms[name] for name, weight in config.get_term_weights().items()]
        total = torch.stack(weighted_terms).sum()
    return total, {name: term.detach() for name, term in terms.items()}


def presence_loss(logits: Tensor, masks: Tensor, overlapping: bool = False) -> Tensor:
    """Return the mean binary cross-entropy of whether a class occurs in an image's valid pixels.

    logits: (N, classes) of any precision. masks: (N, H, W) uint8 with 255 for void. Images that are all void do not
    count.
    """
    with torch.autocast(logits.device.type, enabled=False):
        kind = OverlappingPixels if overlapping else Pixels
        pixels = kind(logits.float()[..., None, None], masks)
        is_present = pixels.truth.flatten(2).any(2)
        losses = functional.binary_cross_entropy_with_logits(logits.float(), is_present.float(), reduction="none")
        counts = pixels.valid.flatten(1).any(1)
        return (losses.mean(1) * counts).sum() / counts.sum().clamp(min=1)


def _resize(logits: Tensor, masks: Tensor) -> Tensor:
    """Return logits of any precision, as they are or, if their size is not the masks', resized in float32."""
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits
    return functional.interpolate(logits.float(), masks.shape[-2:], mode="bilinear", align_corners=False)

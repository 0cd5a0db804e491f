"""The weighted sum of the terms that a configuration switches on.

Every term sees only valid pixels, in float32 whatever the precision of the network, and is a differentiable zero on a
batch that is all void. (The losses of smp divide by void pixels, crash in half precision or are NaN there.)
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
from foldseg.losses.pixels import Pixels
from foldseg.models.outputs import Outputs


@dataclass(frozen=True)
class Term:
    """A term of the loss, and what it promises. `tests/contracts/test_losses.py` holds it to that."""

    compute: Callable[[Pixels, Loss, Tensor | None], Tensor]
    """A function of pixels, settings and class weights (classes,) or None. It returns a scalar, at least 0."""
    is_spatial: bool = False
    """Whether it matters where a pixel is."""
    has_gradient_everywhere: bool = True
    """Whether every valid pixel has a gradient, not only those that are wrong."""


TERMS: dict[str, Term] = {
    "cross_entropy": Term(
        lambda pixels, config, weights: pixelwise.cross_entropy(pixels, weights, config.label_smoothing)
    ),
    "binary_cross_entropy": Term(lambda pixels, *_: pixelwise.binary_cross_entropy(pixels)),
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
check_entries(TERMS, Loss.term_names(), "losses/total.py: TERMS")


def outputs_loss(
    outputs: Outputs, masks: Tensor, config: Loss, weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of all that a network gives to training: logits, auxiliary logits (deep supervision) and presence.

    Auxiliary logits are resized to the masks, bilinearly, and each has the same loss as the logits, times
    `auxiliary_weight` (Lee et al., 2015, arXiv:1409.5185). Returns the total and each part's own value (detached).
    """
    total, parts = segmentation_loss(outputs.logits, masks, config, weights)
    if outputs.auxiliary and config.auxiliary_weight > 0:
        auxiliary = torch.stack([
            segmentation_loss(_resized(logits, masks), masks, config, weights)[0] for logits in outputs.auxiliary
        ]).sum()  # fmt: skip
        total = total + config.auxiliary_weight * auxiliary
        parts["auxiliary"] = auxiliary.detach()
    if config.presence > 0:
        if outputs.presence is None:
            raise FoldsegError("loss.presence: is above 0, but the network has no head that says which classes occur")
        presence = presence_loss(outputs.presence, masks)
        total = total + config.presence * presence
        parts["presence"] = presence.detach()
    return total, parts


def segmentation_loss(
    logits: Tensor, masks: Tensor, config: Loss, weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the terms that `config` switches on, and each term's own value (detached).

    logits (N, classes, H, W) of any precision, masks (N, H, W) uint8 with 255 for void, weights (classes,) for the
    cross-entropy. Finite whenever the logits are; exactly zero, with zero gradients, when every pixel is void.
    """
    with torch.autocast(logits.device.type, enabled=False):
        pixels = Pixels(logits.float(), masks)
        terms = {name: TERMS[name].compute(pixels, config, weights) for name in config.terms()}
        total = torch.stack([weight * terms[name] for name, weight in config.terms().items()]).sum()
    return total, {name: term.detach() for name, term in terms.items()}


def presence_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean binary cross-entropy of which classes occur in an image's valid pixels; images that are all void are out.

    logits (N, classes) of any precision, masks (N, H, W) uint8 with 255 for void.
    """
    with torch.autocast(logits.device.type, enabled=False):
        occurs = Pixels(logits.float()[..., None, None], masks).truth.flatten(2).any(2)
        each = functional.binary_cross_entropy_with_logits(logits.float(), occurs.float(), reduction="none")
        known = occurs.any(1)
        return (each.mean(1) * known).sum() / known.sum().clamp(min=1)


def _resized(logits: Tensor, masks: Tensor) -> Tensor:
    """Logits of any size and precision -> float32 of the masks' size."""
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits
    return functional.interpolate(logits.float(), masks.shape[-2:], mode="bilinear", align_corners=False)

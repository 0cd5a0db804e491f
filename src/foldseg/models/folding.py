"""Batch norms that are folded into the convolutions before them: a network that only predicts needs no other pass."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from foldseg.models.network import SegmentationNetwork

_STRIDES = 4  # sides of the image that is tried, in strides
_TOLERANCE = 1e-3  # of the largest logit


@torch.no_grad()
def folded(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a copy of a network, in evaluation mode, that computes the same with fewer batch norms.

    Which norms follow a convolution is seen by watching one small image pass. A network that takes another size only,
    or that then says something else, comes back as it is.
    """
    side = _STRIDES * network.stride
    image = torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    slim = copy.deepcopy(network).eval()
    try:
        expected, pairs = _watched(slim, image)
    except (RuntimeError, ValueError, AssertionError):  # fixed to the size that it was trained with
        return network
    parents = {child: (parent, name) for parent in slim.modules() for name, child in parent.named_children()}
    for conv, norm in pairs:
        for module, new in ((conv, fuse_conv_bn_eval(conv, norm)), (norm, nn.Identity())):
            parent, name = parents[module]
            setattr(parent, name, new)
    same = torch.allclose(slim(image), expected, rtol=0, atol=_TOLERANCE * float(expected.abs().max()))
    return slim if same else network


def _watched(network: nn.Module, image: Tensor) -> tuple[Tensor, list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """Predict an image; return the logits, and each batch norm whose input came straight from a convolution."""
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    last: list[Any] = [None, None]  # the latest convolution and what it gave

    def after_conv(conv: nn.Module, _: Any, output: Tensor) -> None:
        last[:] = conv, output

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0] is last[1]:
            pairs.append((last[0], norm))  # type: ignore[arg-type]

    hooks = [m.register_forward_hook(after_conv) for m in network.modules() if isinstance(m, nn.Conv2d)]
    # Not its subclasses: timm's have the activation inside
    hooks += [m.register_forward_pre_hook(before_norm) for m in network.modules() if type(m) is nn.BatchNorm2d]
    try:
        return network(image), pairs
    finally:
        for hook in hooks:
            hook.remove()

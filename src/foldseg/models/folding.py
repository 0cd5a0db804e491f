"""Folds batch norms into the convolutions before them, which makes prediction faster."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from foldseg.models.network import SegmentationNetwork

_STRIDES = 4
"""Side of the image that is tried, in strides of the network."""
_TOLERANCE = 1e-3
"""Largest difference of logits that counts as the same, as a share of the largest logit."""


@torch.no_grad()
def fold_batch_norms(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a copy of a network, in evaluation mode, that computes the same with fewer batch norms.

    A small image is predicted to find out which norms follow a convolution. Two kinds of networks are returned as they
    are: those that do not take this size, and those whose copy would predict something else.
    """
    side = _STRIDES * network.stride
    shape = 1, network.channels, side, side
    image = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    folded = copy.deepcopy(network).eval()
    try:
        expected, pairs = _predict_and_find_pairs(folded, image)
    except (RuntimeError, ValueError, AssertionError):  # the network takes only the size that it was trained with
        return network
    parents = {child: (parent, name) for parent in folded.modules() for name, child in parent.named_children()}
    for conv, norm in pairs:
        for module, replacement in ((conv, fuse_conv_bn_eval(conv, norm)), (norm, nn.Identity())):
            parent, name = parents[module]
            setattr(parent, name, replacement)
    tolerance = _TOLERANCE * float(expected.abs().max())
    is_same = torch.allclose(folded(image), expected, rtol=0, atol=tolerance)
    return folded if is_same else network


def _predict_and_find_pairs(network: nn.Module, image: Tensor) -> tuple[Tensor, list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """Predict an image; return the logits, and each convolution with the batch norm that takes its output directly."""
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    last_conv: Any = None
    last_output: Any = None

    def after_conv(conv: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal last_conv, last_output
        last_conv, last_output = conv, output

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0] is last_output:
            pairs.append((last_conv, norm))  # type: ignore[arg-type]

    hooks = [m.register_forward_hook(after_conv) for m in network.modules() if isinstance(m, nn.Conv2d)]
    # Subclasses of BatchNorm2d are left out, because timm's contain an activation
    hooks += [m.register_forward_pre_hook(before_norm) for m in network.modules() if type(m) is nn.BatchNorm2d]
    try:
        return network(image), pairs
    finally:
        for hook in hooks:
            hook.remove()

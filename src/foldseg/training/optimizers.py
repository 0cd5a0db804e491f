"""Builds optimisers, and says which parameters learn at which rate."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from foldseg.config.schema import optimizers as schema
from foldseg.config.schema.choice import check_entries
from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.training.lookahead import add_lookahead

Groups = list[dict[str, Any]]
"""torch's parameter groups: parameters with a rate and a weight decay of their own."""

_DEPTHS = 5
"""Number of parts of an encoder, from first to last layers, that have rates of their own."""


def _build_adamw(groups: Groups, config: schema.AdamW, can_be_fused: bool) -> Optimizer:
    fused = (can_be_fused and config.fused) or None
    return torch.optim.AdamW(groups, config.lr, config.betas, config.eps, fused=fused)


def _build_adam(groups: Groups, config: schema.Adam, can_be_fused: bool) -> Optimizer:
    fused = (can_be_fused and config.fused) or None
    return torch.optim.Adam(groups, config.lr, config.betas, config.eps, fused=fused)


def _build_radam(groups: Groups, config: schema.RAdam, can_be_fused: bool) -> Optimizer:
    return torch.optim.RAdam(groups, config.lr, config.betas, config.eps, decoupled_weight_decay=True)


def _build_sgd(groups: Groups, config: schema.Sgd, can_be_fused: bool) -> Optimizer:
    fused = (can_be_fused and config.fused) or None
    return torch.optim.SGD(groups, config.lr, config.momentum, nesterov=config.nesterov, fused=fused)


def _build_rmsprop(groups: Groups, config: schema.RMSprop, can_be_fused: bool) -> Optimizer:
    return torch.optim.RMSprop(groups, config.lr, eps=config.eps, momentum=config.momentum)


def _build_fused_adam(groups: Groups, config: schema.FusedAdam, can_be_fused: bool) -> Optimizer:
    """Build NVIDIA's fused Adam, whose weight decay is decoupled by default. FoldsegError where apex is missing."""
    try:
        from apex.optimizers import FusedAdam
    except ImportError as error:
        raise FoldsegError(
            "optimizer: fused_adam needs NVIDIA's apex, built from its source repository (the package `apex` on the "
            "package index is another one); use adamw"
        ) from error
    optimizer: Optimizer = FusedAdam(groups, config.lr, betas=config.betas, eps=config.eps)
    return optimizer


OPTIMIZERS: dict[type[schema.Optimizer], Callable[[Groups, Any, bool], Optimizer]] = {
    schema.AdamW: _build_adamw,
    schema.Adam: _build_adam,
    schema.RAdam: _build_radam,
    schema.Sgd: _build_sgd,
    schema.RMSprop: _build_rmsprop,
    schema.FusedAdam: _build_fused_adam,
}
check_entries(OPTIMIZERS, schema.Optimizer, "training/optimizers.py: OPTIMIZERS")


def build_optimizer(config: schema.Optimizer, network: SegmentationNetwork, *, can_be_fused: bool = False) -> Optimizer:
    """Build an optimiser. Its groups are parameters of the same rate, with and without weight decay.

    Norms and biases (parameters of one dimension) are not decayed. Frozen parameters are left out.
    `can_be_fused`: the parameters are on a GPU, so torch's fused version may be used where the settings ask for it.
    """
    groups = []
    for parameters, scale in _divide_by_rate(config, network):
        learning = [p for p in parameters if p.requires_grad]
        matrices = [p for p in learning if p.ndim > 1]
        vectors = [p for p in learning if p.ndim <= 1]
        for group, decay in ((matrices, config.weight_decay), (vectors, 0.0)):
            if group:
                groups.append({"params": group, "lr": config.lr * scale, "weight_decay": decay})
    optimizer = OPTIMIZERS[type(config)](groups, config, can_be_fused)
    if config.lookahead is not None:
        add_lookahead(optimizer, config.lookahead.steps, config.lookahead.share)
    return optimizer


def _divide_by_rate(config: schema.Optimizer, network: SegmentationNetwork) -> list[tuple[list[Parameter], float]]:
    """Return all parameters in lists of the same rate, each with its rate divided by `optimizer.lr`.

    The order is: encoder from first to last layers, decoder, heads.
    """
    encoder, decoder = network.encoder_parameters(), network.decoder_parameters()
    parts = []
    if config.encoder_first_lr_scale == 1:
        parts.append((encoder, config.encoder_lr_scale))
    else:
        for depth, part in enumerate(_divide_evenly(encoder, _DEPTHS)):
            first_share = 1 - depth / (_DEPTHS - 1)
            parts.append((part, config.encoder_lr_scale * config.encoder_first_lr_scale**first_share))
    if config.head_lr_scale == 1:
        parts.append((decoder, 1.0))
    else:
        head_ids = {id(p) for p in _list_head_parameters(network)}
        parts.append(([p for p in decoder if id(p) not in head_ids], 1.0))
        parts.append(([p for p in decoder if id(p) in head_ids], config.head_lr_scale))
    return parts


def _list_head_parameters(network: SegmentationNetwork) -> list[Parameter]:
    """Return the parameters of the layers whose outputs are classes. With another label set, these layers are new."""
    heads = [network.net.segmentation_head, network.auxiliary_heads, network.presence_head]
    return [p for head in heads if isinstance(head, nn.Module) for p in head.parameters()]


def _divide_evenly(parameters: list[Parameter], parts: int) -> list[list[Parameter]]:
    """Divide parameters into consecutive parts with about as many tensors each. In encoders, order follows depth."""
    bounds = [len(parameters) * part // parts for part in range(parts + 1)]
    return [parameters[start:end] for start, end in pairwise(bounds)]

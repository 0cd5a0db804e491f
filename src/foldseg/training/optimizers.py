"""How each optimiser is built, and which parameters learn at which rate."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from foldseg.config import schema
from foldseg.config.schema.choice import check_entries
from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.training.lookahead import add_lookahead

Groups = list[dict[str, Any]]

_DEPTHS = 5  # groups that an encoder's parameters are divided into when its first layers learn more slowly


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
    """Build NVIDIA's fused Adam (decoupled decay by default), from apex built from source."""
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
    """Build an optimiser whose groups are parameters of the same rate, with and without weight decay.

    Norms and biases (parameters of one dimension) are not decayed. Frozen parameters are left out.
    `can_be_fused`: the parameters are on a GPU, so torch's fused version may be used where the settings ask for it.
    """
    groups = []
    for parameters, scale in _rates(config, network):
        for part, decay in ((_matrices(parameters), config.weight_decay), (_vectors(parameters), 0.0)):
            if part:
                groups.append({"params": part, "lr": config.lr * scale, "weight_decay": decay})
    optimizer = OPTIMIZERS[type(config)](groups, config, can_be_fused)
    if config.lookahead is not None:
        add_lookahead(optimizer, config.lookahead.steps, config.lookahead.share)
    return optimizer


def _rates(config: schema.Optimizer, network: SegmentationNetwork) -> list[tuple[list[Parameter], float]]:
    """Every parameter once, with its rate / `optimizer.lr`: encoder from first to last layers, decoder, heads."""
    encoder, decoder = network.encoder_parameters(), network.decoder_parameters()
    rates = [(encoder, config.encoder_lr_scale)]
    if config.encoder_first_lr_scale != 1:
        rates = [
            (part, config.encoder_lr_scale * config.encoder_first_lr_scale ** (1 - depth / (_DEPTHS - 1)))
            for depth, part in enumerate(_divided(encoder, _DEPTHS))
        ]
    if config.head_lr_scale == 1:
        return [*rates, (decoder, 1.0)]
    heads = {id(p) for p in _heads(network)}
    return [
        *rates,
        ([p for p in decoder if id(p) not in heads], 1.0),
        ([p for p in decoder if id(p) in heads], config.head_lr_scale),
    ]


def _heads(network: SegmentationNetwork) -> list[Parameter]:
    """Parameters of the layers whose outputs are classes, of which there are new ones for another label set."""
    modules = [network.net.segmentation_head, network.auxiliary_heads, network.presence_head]
    return [p for module in modules if isinstance(module, nn.Module) for p in module.parameters()]


def _divided(parameters: list[Parameter], parts: int) -> list[list[Parameter]]:
    """Consecutive parts with as many parameters (tensors) each, as far as that goes; in encoders they follow depth."""
    bounds = [len(parameters) * part // parts for part in range(parts + 1)]
    return [parameters[start:end] for start, end in pairwise(bounds)]


def _matrices(parameters: Iterable[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.requires_grad and p.ndim > 1]


def _vectors(parameters: Iterable[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.requires_grad and p.ndim <= 1]

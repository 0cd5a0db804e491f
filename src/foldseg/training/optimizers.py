"""Optimisers and learning-rate schedules by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from foldseg.config import schema
from foldseg.errors import FoldsegError
from foldseg.models.factory import SegmentationNetwork


def _fused_adam(groups: list[dict[str, Any]], **settings: float) -> Optimizer:
    """NVIDIA's fused Adam (decoupled decay by default), from apex built from source."""
    try:
        from apex.optimizers import FusedAdam
    except ImportError as error:
        raise FoldsegError(
            "optimizer.name: fused_adam needs NVIDIA's apex, built from its source repository (the package `apex` on "
            "the package index is another one); use adamw"
        ) from error
    optimizer: Optimizer = FusedAdam(groups, **settings)
    return optimizer


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adamw": torch.optim.AdamW, "fused_adam": _fused_adam}


def build_optimizer(config: schema.Optimizer, network: SegmentationNetwork) -> Optimizer:
    """Build an optimiser with four groups of parameters: encoder and decoder, with and without weight decay.

    Norms and biases (parameters of one dimension) are not decayed. Frozen parameters are left out.
    """
    groups = []
    for parameters, scale in (
        (network.encoder_parameters(), config.encoder_lr_scale),
        (network.decoder_parameters(), 1.0),
    ):
        for part, decay in ((_matrices(parameters), config.weight_decay), (_vectors(parameters), 0.0)):
            if part:
                groups.append({"params": part, "lr": config.lr * scale, "weight_decay": decay})
    return OPTIMIZERS[config.name](groups, lr=config.lr)


def build_schedule(config: schema.Schedule, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Build a schedule that is stepped after every one of `steps` optimiser steps.

    one_cycle: cosine from lr/25 up to lr in the first `warm_up` of the steps, then cosine down to lr/250,000
    (Smith and Topin, 2018, arXiv:1708.07120, in torch's version).
    """
    if config.name == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    peaks = [group["lr"] for group in optimizer.param_groups]
    steps = max(4, steps)
    rise = max(config.warm_up, 1.5 / steps)  # torch divides by zero where the rise is no longer than one step
    return OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=rise, cycle_momentum=False)


def _matrices(parameters: list[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.requires_grad and p.ndim > 1]


def _vectors(parameters: list[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.requires_grad and p.ndim <= 1]

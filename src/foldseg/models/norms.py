"""The norms that can take the place of batch norms, in any network."""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers.evo_norm import EvoNorm2dS0
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, SyncBatchNormAct
from torch import Tensor, nn

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import NormName

_MOST_GROUPS = 32
"""Number of groups in group norm and EvoNorm, as in both papers; fewer where 32 does not divide the channels."""


def exchange_norms(network: nn.Module, name: str) -> None:
    """Replace all batch norms of a network, in place, by the norm `name`. Layer norms and group norms stay.

    Parameters keep their names; scales and shifts keep their values. The activation after a norm stays, also where
    timm made it a part of the norm. EvoNorm has an activation of its own, which replaces timm's.
    """
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, key, NORMS[name](child))


def _keep(old: nn.BatchNorm2d) -> nn.Module:
    return old


def _to_sync(old: nn.BatchNorm2d) -> nn.Module:
    """Return a batch norm whose statistics are of the batches of all processes."""
    kind = SyncBatchNormAct if isinstance(old, BatchNormAct2d) else nn.SyncBatchNorm
    new: nn.Module = kind(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.load_state_dict(old.state_dict())
    _copy_activation(old, new)
    return new


def _to_group(old: nn.BatchNorm2d) -> nn.Module:
    """Return a group norm (Wu and He, 2018, arXiv:1803.08494)."""
    return _build_group_norm(old, _count_groups(old.num_features))


def _to_instance(old: nn.BatchNorm2d) -> nn.Module:
    """Return a group norm with a group per channel. It makes a map of one pixel equal to the shift."""
    return _build_group_norm(old, old.num_features)


def _to_evonorm(old: nn.BatchNorm2d) -> nn.Module:
    """Return EvoNorm-S0: x sigmoid(v x) / std of a group of channels (Liu et al., 2020, arXiv:2004.02967)."""
    new = EvoNorm2dS0(old.num_features, _count_groups(old.num_features), eps=old.eps)
    _copy_scale_and_shift(old, new)
    return new


def _to_nothing(old: nn.BatchNorm2d) -> nn.Module:
    return old.act if isinstance(old, BatchNormAct2d) else nn.Identity()


NORMS: dict[str, Callable[[nn.BatchNorm2d], nn.Module]] = {
    "batch": _keep,
    "sync": _to_sync,
    "group": _to_group,
    "instance": _to_instance,
    "evonorm": _to_evonorm,
    "none": _to_nothing,
}
"""A batch norm -> the module that takes its place. What a norm states is in `config/schema/definitions.py`."""
check_entries(NORMS, NormName, "models/norms.py: NORMS")


class _GroupNorm(nn.GroupNorm):
    """torch's group norm, which also takes maps of one pixel. torch refuses them, and pooled branches have them."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def _build_group_norm(old: nn.BatchNorm2d, groups: int) -> nn.Module:
    if isinstance(old, BatchNormAct2d):
        new: nn.Module = GroupNormAct(old.num_features, groups, old.eps, apply_act=False)
    else:
        new = _GroupNorm(groups, old.num_features, old.eps)
    _copy_scale_and_shift(old, new)
    _copy_activation(old, new)
    return new


def _count_groups(channels: int) -> int:
    return max(groups for groups in range(1, _MOST_GROUPS + 1) if channels % groups == 0)


def _copy_scale_and_shift(old: nn.BatchNorm2d, new: nn.Module) -> None:
    if old.affine:
        parameters: dict[str, Any] = dict(new.named_parameters())
        parameters["weight"].data.copy_(old.weight.data)
        parameters["bias"].data.copy_(old.bias.data)


def _copy_activation(old: nn.BatchNorm2d, new: nn.Module) -> None:
    """Copy the dropout and the activation that timm made a part of the norm, if it did."""
    if isinstance(old, BatchNormAct2d):
        new.drop, new.act = old.drop, old.act

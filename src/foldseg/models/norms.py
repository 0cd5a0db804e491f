"""Batch norms: exchanged for other norms over any network."""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers.evo_norm import EvoNorm2dS0
from timm.layers.norm_act import BatchNormAct2d, GroupNormAct, SyncBatchNormAct
from torch import Tensor, nn

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import NormName

_MOST_GROUPS = 32  # of group norm and EvoNorm, as in both papers; fewer where 32 does not divide the channels


def _groups(channels: int) -> int:
    return max(groups for groups in range(1, _MOST_GROUPS + 1) if channels % groups == 0)


class _GroupNorm(nn.GroupNorm):
    """torch's, which refuses to norm a single value; pooled branches have maps of one pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def _group_norm(old: nn.BatchNorm2d, groups: int) -> nn.Module:
    if isinstance(old, BatchNormAct2d):
        return GroupNormAct(old.num_features, groups, old.eps, apply_act=False)
    return _GroupNorm(groups, old.num_features, old.eps)


def _group(old: nn.BatchNorm2d) -> nn.Module:
    """Wu and He 2018, arXiv:1803.08494."""
    return _group_norm(old, _groups(old.num_features))


def _instance(old: nn.BatchNorm2d) -> nn.Module:
    """A group per channel; of a map of one pixel only the shift is left."""
    return _group_norm(old, old.num_features)


def _evonorm(old: nn.BatchNorm2d) -> nn.Module:
    """EvoNorm-S0, x sigmoid(v x) / std of a group of channels (Liu et al. 2020, arXiv:2004.02967)."""
    return EvoNorm2dS0(old.num_features, _groups(old.num_features), eps=old.eps)


def _sync(old: nn.BatchNorm2d) -> nn.Module:
    """Statistics over the batches of all processes; in one process it is batch norm."""
    kind = SyncBatchNormAct if isinstance(old, BatchNormAct2d) else nn.SyncBatchNorm
    new: nn.Module = kind(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.load_state_dict(old.state_dict())
    return new


def _none(_: nn.BatchNorm2d) -> nn.Module:
    return nn.Identity()


NORMS: dict[str, Callable[[nn.BatchNorm2d], nn.Module]] = {
    "batch": lambda old: old,
    "sync": _sync,
    "group": _group,
    "instance": _instance,
    "evonorm": _evonorm,
    "none": _none,
}
"""What takes the place of a batch norm. To add one: a function, a line here, its name in `config/schema/names.py`."""
check_entries(NORMS, NormName, "models/norms.py: NORMS")


def exchange_norms(network: nn.Module, name: str) -> None:
    """Exchange all batch norms of a network, in place; layer norms and group norms stay as they are.

    Parameters keep their names, scales and shifts their values. The activation after a norm stays, also where timm
    made it a part of the norm; EvoNorm brings one of its own and takes the place of timm's.
    """
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, key, _exchanged(child, name))


def _exchanged(old: nn.BatchNorm2d, name: str) -> nn.Module:
    new = NORMS[name](old)
    if name in ("group", "instance", "evonorm") and old.affine:
        mine: dict[str, Any] = dict(new.named_parameters())
        mine["weight"].data.copy_(old.weight.data)
        mine["bias"].data.copy_(old.bias.data)
    if not isinstance(old, BatchNormAct2d) or name in ("batch", "evonorm"):
        return new
    if name == "none":
        return old.act
    new.drop, new.act = old.drop, old.act
    return new

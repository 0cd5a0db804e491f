"""Lookahead around any optimiser, which keeps its type, its name and its state."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def add_lookahead(optimizer: Optimizer, steps: int, share: float) -> None:
    """Every `steps` steps, move slow weights by `share` of the way to the weights, and the weights onto them.

    k steps forward, 1 step back (Zhang et al., 2019, arXiv:1907.08610). Slow weights and the count of steps are in the
    optimiser's own state, so checkpoints have them. A parameter joins when it has its first gradient.
    """
    start: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def before(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            for p in group["params"]:
                if "slow" not in optimizer.state.get(p, {}):
                    start[p] = p.detach().clone()

    @torch.no_grad()
    def after(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            group["lookahead_steps"] = group.get("lookahead_steps", 0) + 1
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = optimizer.state[p]
                if "slow" not in state:
                    state["slow"] = start.pop(p)
                if group["lookahead_steps"] % steps == 0:
                    p.copy_(state["slow"].lerp_(p, share))
        start.clear()

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)

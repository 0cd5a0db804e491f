"""Lookahead around any optimiser, which keeps its type, its name and its state."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def add_lookahead(optimizer: Optimizer, steps: int, share: float) -> None:
    """Make an optimiser keep slow weights (Lookahead; Zhang et al., 2019, arXiv:1907.08610).

    Every `steps` steps, the slow weights move by `share` of the way to the weights, and the weights are set to them.
    Slow weights and the number of steps are part of the optimiser's own state, so checkpoints have them. A parameter
    gets slow weights when it has its first gradient.
    """
    weights_before: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def remember_weights(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if "slow" not in optimizer.state.get(parameter, {}):
                    weights_before[parameter] = parameter.detach().clone()

    @torch.no_grad()
    def move_slow_weights(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            group["lookahead_steps"] = group.get("lookahead_steps", 0) + 1
            is_due = group["lookahead_steps"] % steps == 0
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = optimizer.state[parameter]
                if "slow" not in state:
                    state["slow"] = weights_before.pop(parameter)
                if is_due:
                    parameter.copy_(state["slow"].lerp_(parameter, share))
        weights_before.clear()

    optimizer.register_step_pre_hook(remember_weights)
    optimizer.register_step_post_hook(move_slow_weights)

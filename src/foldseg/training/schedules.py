"""Learning-rate schedules by name: the rate as a share of its peak, a pure function of the step.

Only `plateau` depends on more than the step: on the validation scores so far, which are part of the checkpoint.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from foldseg.config import Experiment, schema
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import SCORES
from foldseg.training.validation import LOWER_IS_BETTER, goodness

Curve = Callable[[int, int, schema.Schedule], float]
"""(step, number of steps, settings) -> rate / peak rate."""


def constant(step: int, steps: int, config: schema.Schedule) -> float:
    """1."""
    return 1.0


def one_cycle(step: int, steps: int, config: schema.Schedule) -> float:
    """Cosine from 1/25 up to 1 in the first `warm_up` of the steps, then cosine down to 1/250,000.

    Smith and Topin (2018, arXiv:1708.07120), in torch's version.
    """
    steps = max(4, steps)
    rise = max(config.warm_up, 1.5 / steps)  # torch divides by zero where the rise is no longer than one step
    top = rise * steps - 1
    if step <= top:
        return _cosine(1 / 25, 1.0, step / top)
    return _cosine(1.0, 1 / 250_000, (step - top) / (steps - 1 - top))


def cosine(step: int, steps: int, config: schema.Schedule) -> float:
    """Half a cosine from 1 to `lowest` (Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts)."""
    return _cosine(1.0, config.lowest, step / steps)


def warm_restarts(step: int, steps: int, config: schema.Schedule) -> float:
    """`cycles` half cosines from 1 to `lowest`, each `cycle_growth` times as long as the last (arXiv:1608.03983).

    A cycle ends with an epoch, so that its last weights are those of a checkpoint (Huang et al., 2017,
    arXiv:1704.00109: snapshot ensembles).
    """
    epoch = step / steps * config.epochs
    start = 0
    for end in (last + 1 for last in cycle_ends(config, config.epochs)):
        if epoch < end:
            return _cosine(1.0, config.lowest, (epoch - start) / (end - start))
        start = end
    return config.lowest


def poly(step: int, steps: int, config: schema.Schedule) -> float:
    """(1 - t)^power from 1 to `lowest` (Chen et al., 2017, arXiv:1606.00915); linear with `power: 1`."""
    return config.lowest + (1 - config.lowest) * (1 - min(step, steps) / steps) ** config.power


def step(step: int, steps: int, config: schema.Schedule) -> float:
    """Times `gamma` at each of the `milestones`, which are shares of the steps."""
    return max(config.lowest, config.gamma ** sum(step >= share * steps for share in config.milestones))


def exponential(step: int, steps: int, config: schema.Schedule) -> float:
    """Times `epoch_decay` in every epoch, a little with every step."""
    return max(config.lowest, config.epoch_decay ** (config.epochs * step / steps))


SCHEDULES: dict[str, Curve] = {
    "one_cycle": one_cycle,
    "constant": constant,
    "cosine": cosine,
    "warm_restarts": warm_restarts,
    "poly": poly,
    "step": step,
    "exponential": exponential,
    "plateau": constant,  # times what `RateSchedule.observe` makes of the scores
}


def rate(step: int, steps: int, config: schema.Schedule) -> float:
    """Rate / peak rate of a step, counted from 0: the curve times the linear warm-up."""
    ramp = config.linear_warm_up * steps
    warm = min(1.0, (step + 1) / ramp) if ramp > 0 else 1.0
    return warm * SCHEDULES[config.name](step, steps, config)


def cycle_ends(config: schema.Schedule, epochs: int) -> list[int]:
    """Epochs, counted from 0, with which a cycle of the schedule ends; the last epoch alone if it has no cycles."""
    if config.name != "warm_restarts":
        return [epochs - 1]
    lengths = [config.cycle_growth**cycle for cycle in range(config.cycles)]
    return [math.floor(epochs * sum(lengths[: cycle + 1]) / sum(lengths) + 0.5) - 1 for cycle in range(config.cycles)]


class RateSchedule(LambdaLR):
    """Multiplies every group's peak rate by `rate`, and for `plateau` by what the scores have made of it.

    Stepped after every one of `steps` optimiser steps. What it remembers is plain numbers, saved with its state.
    """

    def __init__(self, config: schema.Schedule, optimizer: Optimizer, steps: int) -> None:
        self.fall, self.best, self.waited = 1.0, -math.inf, 0
        super().__init__(optimizer, lambda step: self.fall * rate(step, steps, config))

    def observe(self, value: float, config: schema.Schedule) -> None:
        """Take in the number that `plateau` watches; more is better. Rates fall from the next step but one."""
        plateau = config.plateau
        if value > self.best + plateau.threshold:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > plateau.patience:
            self.fall, self.waited = max(config.lowest, self.fall * plateau.factor), 0


def check_plateau(experiment: Experiment, labels: LabelSet) -> None:
    """FoldsegError when a `plateau` schedule watches a number that validation does not give."""
    metric, valid = experiment.schedule.plateau.metric, [*LOWER_IS_BETTER, *SCORES]
    valid += [f"iou/{name}" for name in labels.names]
    if experiment.schedule.name == "plateau" and metric is not None and metric not in valid:
        raise FoldsegError(f"schedule.plateau.metric: unknown name {metric!r}; valid are {', '.join(valid)}")


def plateau_value(experiment: Experiment, metrics: dict[str, float]) -> float:
    """Return what a `plateau` schedule watches, so that more is better; NaN is the worst."""
    metric = experiment.schedule.plateau.metric or experiment.monitor
    return goodness(metric, metrics[metric])


def build_schedule(config: schema.Schedule, optimizer: Optimizer, steps: int) -> RateSchedule:
    """Build the schedule of a configuration for a run of `steps` optimiser steps."""
    return RateSchedule(config, optimizer, max(1, steps))


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine: `start` at share 0, `end` at share 1 and after it."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2

"""The curve of each schedule: the rate as a share of its peak, a pure function of the step.

Only a plateau depends on more than the step: on the validations so far, which are part of the checkpoint.
"""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from foldseg.config import Experiment, schema
from foldseg.config.schema.choice import check_entries
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import SCORES
from foldseg.training.validation import LOWER_IS_BETTER, goodness

Curve = Callable[[int, int, Any], float]
"""(step, number of steps, settings) -> rate / peak rate."""


def constant(step: int, steps: int, config: schema.Schedule) -> float:
    """1."""
    return 1.0


def one_cycle(step: int, steps: int, config: schema.OneCycle) -> float:
    """Cosine from 1/25 up to 1 in the first `warm_up` of the steps, then cosine down to 1/250,000.

    Smith and Topin (2018, arXiv:1708.07120), in torch's version.
    """
    steps = max(4, steps)
    rise = max(config.warm_up, 1.5 / steps)  # torch divides by zero where the rise is no longer than one step
    top = rise * steps - 1
    if step <= top:
        return _cosine(1 / 25, 1.0, step / top)
    return _cosine(1.0, 1 / 250_000, (step - top) / (steps - 1 - top))


def cosine(step: int, steps: int, config: schema.Cosine) -> float:
    """Half a cosine from 1 to `lowest` (Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts)."""
    return _cosine(1.0, config.lowest, step / steps)


def warm_restarts(step: int, steps: int, config: schema.WarmRestarts) -> float:
    """`cycles` half cosines from 1 to `lowest`, each `cycle_growth` times as long as the last (arXiv:1608.03983).

    A cycle ends with an epoch, so that its last weights are those of a checkpoint (Huang et al., 2017,
    arXiv:1704.00109: snapshot ensembles).
    """
    epoch = step / steps * config.epochs
    start = 0
    for end in (last + 1 for last in config.cycle_ends()):
        if epoch < end:
            return _cosine(1.0, config.lowest, (epoch - start) / (end - start))
        start = end
    return config.lowest


def poly(step: int, steps: int, config: schema.Poly) -> float:
    """(1 - t)^power from 1 to `lowest` (Chen et al., 2017, arXiv:1606.00915); linear with `power: 1`."""
    return config.lowest + (1 - config.lowest) * (1 - min(step, steps) / steps) ** config.power


def step(step: int, steps: int, config: schema.StepDecay) -> float:
    """Times `gamma` at each of the `milestones`, which are shares of the steps."""
    return max(config.lowest, config.gamma ** sum(step >= share * steps for share in config.milestones))


def exponential(step: int, steps: int, config: schema.Exponential) -> float:
    """Times `epoch_decay` in every epoch, a little with every step."""
    return max(config.lowest, config.epoch_decay ** (config.epochs * step / steps))


SCHEDULES: dict[type[schema.Schedule], Curve] = {
    schema.OneCycle: one_cycle,
    schema.Constant: constant,
    schema.Cosine: cosine,
    schema.WarmRestarts: warm_restarts,
    schema.Poly: poly,
    schema.StepDecay: step,
    schema.Exponential: exponential,
    schema.Plateau: constant,  # times what `RateSchedule.observe` makes of the validations
}
check_entries(SCHEDULES, schema.Schedule, "training/schedules.py: SCHEDULES")


def rate(step: int, steps: int, config: schema.Schedule) -> float:
    """Rate / peak rate of a step, counted from 0: the curve times the linear warm-up."""
    ramp = config.linear_warm_up * steps
    warm = min(1.0, (step + 1) / ramp) if ramp > 0 else 1.0
    return warm * SCHEDULES[type(config)](step, steps, config)


class RateSchedule(LambdaLR):
    """Multiplies every group's peak rate by `rate`, and for a plateau by what the validations have made of it.

    Stepped after every one of `steps` optimiser steps. What it remembers is plain numbers, saved with its state.
    """

    def __init__(self, config: schema.Schedule, optimizer: Optimizer, steps: int) -> None:
        self.fall, self.best, self.waited = 1.0, -math.inf, 0
        super().__init__(optimizer, lambda step: self.fall * rate(step, steps, config))

    def observe(self, value: float, config: schema.Plateau) -> None:
        """Take in the number that a plateau watches; more is better. Rates fall from the next step but one."""
        if value > self.best + config.threshold:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > config.patience:
            self.fall, self.waited = max(config.lowest, self.fall * config.factor), 0

    def observe_validation(self, experiment: Experiment, metrics: dict[str, float]) -> None:
        """Take in the numbers of a validation, of which only a plateau watches one; NaN is the worst."""
        config = experiment.schedule
        if isinstance(config, schema.Plateau):
            metric = config.watched(experiment.monitor)
            self.observe(goodness(metric, metrics[metric]), config)


def check_watched(experiment: Experiment, labels: LabelSet) -> None:
    """FoldsegError when the schedule watches a number that validation does not give."""
    metric = experiment.schedule.watched(experiment.monitor)
    valid = [*LOWER_IS_BETTER, *SCORES, *(f"iou/{name}" for name in labels.names)]
    if metric is not None and metric not in valid:
        raise FoldsegError(f"schedule.metric: unknown name {metric!r}; valid are {', '.join(valid)}")


def build_schedule(config: schema.Schedule, optimizer: Optimizer, steps: int) -> RateSchedule:
    """Build the schedule of a configuration for a run of `steps` optimiser steps."""
    return RateSchedule(config, optimizer, max(1, steps))


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine: `start` at share 0, `end` at share 1 and after it."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2

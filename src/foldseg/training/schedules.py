"""What each schedule does: its curve gives the rate as a share of the peak rate, a pure function of the step.

Only a plateau depends on more than the step. It depends on the validations so far, which are part of the checkpoint.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from foldseg.config import Experiment
from foldseg.config.schema import schedules as schema
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.definitions import LOSSES
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.scores import list_scores
from foldseg.training.validation import make_comparable

Curve = Callable[[int, int, Any], float]
"""(step, number of steps, settings) -> rate / peak rate."""


def constant(step: int, steps: int, config: schema.Schedule) -> float:
    """Return 1 in every step."""
    return 1.0


def one_cycle(step: int, steps: int, config: schema.OneCycle) -> float:
    """Return a cosine from 1/25 up to 1 in the first `warm_up` of the steps, then one down to 1/250,000.

    Smith and Topin (2018, arXiv:1708.07120), in torch's version.
    """
    steps = max(4, steps)
    rise = max(config.warm_up, 1.5 / steps)  # torch divides by zero where the rise is no longer than one step
    top = rise * steps - 1
    if step <= top:
        return _cosine(1 / 25, 1.0, step / top)
    return _cosine(1.0, 1 / 250_000, (step - top) / (steps - 1 - top))


def cosine(step: int, steps: int, config: schema.Cosine) -> float:
    """Return half a cosine from 1 to `lowest` (Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts)."""
    return _cosine(1.0, config.lowest, step / steps)


def warm_restarts(step: int, steps: int, config: schema.WarmRestarts) -> float:
    """Return half cosines from 1 to `lowest`, one per cycle (arXiv:1608.03983).

    Each cycle is `cycle_growth` times as long as the cycle before. It ends with an epoch, so a checkpoint can have its
    last weights (snapshot ensembles; Huang et al., 2017, arXiv:1704.00109).
    """
    epoch = step / steps * config.epochs
    start = 0
    for last_epoch in config.list_cycle_ends():
        end = last_epoch + 1
        if epoch < end:
            return _cosine(1.0, config.lowest, (epoch - start) / (end - start))
        start = end
    return config.lowest


def poly(step: int, steps: int, config: schema.Poly) -> float:
    """Return (1 - t)^power from 1 to `lowest` (Chen et al., 2017, arXiv:1606.00915). With `power: 1` it is linear."""
    return config.lowest + (1 - config.lowest) * (1 - min(step, steps) / steps) ** config.power


def step_decay(step: int, steps: int, config: schema.StepDecay) -> float:
    """Return a rate that is multiplied by `gamma` at each of the `milestones`, which are shares of the steps."""
    passed = sum(step >= share * steps for share in config.milestones)
    return max(config.lowest, config.gamma**passed)


def exponential(step: int, steps: int, config: schema.Exponential) -> float:
    """Return a rate that is multiplied by `epoch_decay` in the course of every epoch, a little with every step."""
    return max(config.lowest, config.epoch_decay ** (config.epochs * step / steps))


def lower_on_plateau(schedule: "RateSchedule", value: float, config: schema.Plateau) -> None:
    """Lower the rate if the last validations, of which `value` is the latest, were no better. Higher is better.

    The lower rate holds from two steps later.
    """
    if value > schedule.best + config.threshold:
        schedule.best, schedule.waited = value, 0
        return
    schedule.waited += 1
    if schedule.waited > config.patience:
        schedule.fall, schedule.waited = max(config.lowest, schedule.fall * config.factor), 0


@dataclass(frozen=True)
class ScheduleFunctions:
    """What a kind of schedule does."""

    curve: Curve
    observe: Callable[["RateSchedule", float, Any], None] | None = None
    """Takes the value of every validation that the schedule watches, such that higher is better, and its settings.

    None if the rate does not depend on validations.
    """


SCHEDULES: dict[type[schema.Schedule], ScheduleFunctions] = {
    schema.OneCycle: ScheduleFunctions(one_cycle),
    schema.Constant: ScheduleFunctions(constant),
    schema.Cosine: ScheduleFunctions(cosine),
    schema.WarmRestarts: ScheduleFunctions(warm_restarts),
    schema.Poly: ScheduleFunctions(poly),
    schema.StepDecay: ScheduleFunctions(step_decay),
    schema.Exponential: ScheduleFunctions(exponential),
    schema.Plateau: ScheduleFunctions(constant, observe=lower_on_plateau),
}
check_entries(SCHEDULES, schema.Schedule, "training/schedules.py: SCHEDULES")


def compute_rate(step: int, steps: int, config: schema.Schedule) -> float:
    """Return the rate of a step, counted from 0, as a share of the peak rate: the curve times the linear warm-up."""
    warm_up_steps = config.linear_warm_up * steps
    warm_up = min(1.0, (step + 1) / warm_up_steps) if warm_up_steps > 0 else 1.0
    return warm_up * SCHEDULES[type(config)].curve(step, steps, config)


class RateSchedule(LambdaLR):
    """Multiplies every group's peak rate by `compute_rate`, and by a factor that falls on plateaus.

    It is stepped after each of `steps` optimiser steps. Its own attributes are plain numbers, saved with its state, so
    they keep their names: `fall` is the factor by which plateaus have lowered the rate so far, `best` the best value
    of a validation, `waited` the number of validations without gain since the last gain or fall.
    """

    def __init__(self, config: schema.Schedule, optimizer: Optimizer, steps: int) -> None:
        self.fall, self.best, self.waited = 1.0, -math.inf, 0
        super().__init__(optimizer, lambda step: self.fall * compute_rate(step, steps, config))

    def observe_validation(self, experiment: Experiment, metrics: dict[str, float]) -> None:
        """Take in the number of a validation that the schedule watches, if it watches one. NaN is the worst value."""
        config = experiment.schedule
        observe = SCHEDULES[type(config)].observe
        metric = config.find_watched_metric(experiment.monitor)
        if observe is not None and metric is not None:
            observe(self, make_comparable(metric, metrics[metric]), config)


def check_watched_metric(experiment: Experiment, labels: LabelSet) -> None:
    """Raise FoldsegError if the schedule watches a number that validation does not give."""
    metric = experiment.schedule.find_watched_metric(experiment.monitor)
    valid = [*LOSSES, *list_scores(experiment.monitor), *(f"iou/{name}" for name in labels.names)]
    if metric is not None and metric not in valid:
        raise FoldsegError(f"schedule.metric: unknown name {metric!r}; valid are {', '.join(valid)}")


def build_schedule(config: schema.Schedule, optimizer: Optimizer, steps: int) -> RateSchedule:
    """Build the schedule of a configuration for a run of `steps` optimiser steps."""
    return RateSchedule(config, optimizer, max(1, steps))


def _cosine(start: float, end: float, share: float) -> float:
    """Return half a cosine: `start` at share 0, `end` at share 1 and after it."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2

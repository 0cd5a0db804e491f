"""How the learning rate moves. The curves are computed in `foldseg.training.schedules`."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Fraction, Positive, Weight
from foldseg.config.schema.choice import Choice

Factor = Annotated[float, Field(gt=0.0, lt=1.0)]
"""What a rate is multiplied by to make it smaller."""


class Schedule(Choice):
    """How the learning rate moves, step by step. Shares are of all steps; rates are shares of the peak rate."""

    first_is_default = True
    can_restart: ClassVar[bool] = True
    """Whether it can begin again with every stage of a run."""
    has_cycles: ClassVar[bool] = False
    """Whether it has cycles. At their ends a run may keep snapshots."""

    epochs: Count = 40
    """Number of epochs."""
    linear_warm_up: Fraction = 0.0
    """Share of the steps in which the rate also rises linearly from 0."""

    def list_cycle_ends(self) -> list[int]:
        """Return the last epoch of each cycle, counted from 0; without cycles, the last epoch of all."""
        return [self.epochs - 1]

    def shorten(self, stages: Sequence[int]) -> Self:
        """Return a schedule of the same kind for a very short test run; `stages`: number of epochs of each stage."""
        return self.model_copy(update={"epochs": sum(stages)})

    def find_watched_metric(self, monitor: str) -> str | None:
        """Return the name of the number of a validation that the rate depends on, if it depends on one.

        `monitor`: the number that the run monitors.
        """
        return None


class OneCycle(Schedule):
    """A cosine up from 1/25, then a cosine down to 1/250,000 (Smith and Topin, 2018, arXiv:1708.07120)."""

    kind: Literal["one_cycle"] = "one_cycle"
    warm_up: Fraction = 0.25
    """Share of the steps in which the rate rises."""


class Constant(Schedule):
    """The peak rate in every step."""

    kind: Literal["constant"] = "constant"


class Cosine(Schedule):
    """Half a cosine from 1 down to `lowest` (Loshchilov and Hutter, 2017, arXiv:1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    lowest: Fraction = 0.0
    """The rate at the end."""


class WarmRestarts(Schedule):
    """Several cosines, each from 1 down to `lowest` (arXiv:1608.03983). A cycle ends with an epoch."""

    has_cycles = True

    kind: Literal["warm_restarts"] = "warm_restarts"
    lowest: Fraction = 0.0
    """The rate at the end of a cycle."""
    cycles: Count = 4
    """Number of cycles."""
    cycle_growth: Annotated[float, Field(ge=1.0)] = 1.0
    """Length of a cycle, divided by the length of the one before (T_mult)."""

    def list_cycle_ends(self) -> list[int]:
        """Return the last epoch of each cycle, counted from 0."""
        lengths = [self.cycle_growth**cycle for cycle in range(self.cycles)]
        ends = [sum(lengths[: cycle + 1]) for cycle in range(self.cycles)]
        return [math.floor(self.epochs * end / sum(lengths) + 0.5) - 1 for end in ends]

    def shorten(self, stages: Sequence[int]) -> Self:
        """Return a schedule for a very short test run. It has as many equal cycles as fit into the shortest stage."""
        changes = {"epochs": sum(stages), "cycles": min(stages), "cycle_growth": 1.0}
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _check_cycles_fit(self) -> Self:
        shortest = self.epochs / sum(self.cycle_growth**cycle for cycle in range(self.cycles))
        if shortest < 1:
            raise ValueError(
                f"cycles {self.cycles} with cycle_growth {self.cycle_growth:g} do not fit into {self.epochs} epochs: "
                f"the first would be of {shortest:.2f} epochs, and should be of at least 1"
            )
        return self


class Poly(Schedule):
    """(1 - t)^power from 1 down to `lowest` (Chen et al., 2017, arXiv:1606.00915). With `power: 1` it is linear."""

    kind: Literal["poly"] = "poly"
    lowest: Fraction = 0.0
    """The rate at the end."""
    power: Positive = 0.9
    """Exponent of the share of the steps that remains."""


class StepDecay(Schedule):
    """The rate falls at given points of the run, and stays the same in between."""

    kind: Literal["step"] = "step"
    lowest: Fraction = 0.0
    """The rate does not fall below this one."""
    milestones: tuple[Fraction, ...] = (0.5, 0.75)
    """Shares of the steps after which the rate falls."""
    gamma: Factor = 0.1
    """Rate after a milestone, divided by the rate before it."""

    @model_validator(mode="after")
    def _check_milestones_rise(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} should rise")
        return self


class Exponential(Schedule):
    """The rate falls by the same factor in every epoch, a little with every step."""

    kind: Literal["exponential"] = "exponential"
    lowest: Fraction = 0.0
    """The rate does not fall below this one."""
    epoch_decay: Factor = 0.95
    """Rate after an epoch, divided by the rate before it."""


class Plateau(Schedule):
    """The rate falls after more than `patience` validations that were no better."""

    can_restart = False

    kind: Literal["plateau"] = "plateau"
    lowest: Fraction = 0.0
    """The rate does not fall below this one."""
    metric: str | None = None
    """A score, val_cross_entropy or iou/CLASS. Null: the experiment's `monitor`."""
    factor: Factor = 0.5
    """The rate is multiplied by this factor."""
    patience: Annotated[int, Field(ge=0)] = 5
    """The rate falls after more than this many validations without improvement."""
    threshold: Weight = 1e-4
    """A validation counts as an improvement if it is better by more than this."""

    def find_watched_metric(self, monitor: str) -> str:
        """Return the name of the number of a validation that lowers the rate."""
        return self.metric or monitor

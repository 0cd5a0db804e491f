"""What every optimiser and every schedule promises."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from foldseg.config.schema import Optimizer, Schedule
from foldseg.errors import FoldsegError
from foldseg.training.optimizers import OPTIMIZERS
from foldseg.training.schedules import SCHEDULES, build_schedule

every_schedule = pytest.mark.parametrize("kind", SCHEDULES, ids=lambda kind: kind.kind_name())


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.kind_name())
def test_an_optimiser_lowers_a_quadratic(kind: type[Optimizer]) -> None:
    place = nn.Parameter(torch.tensor([1.0, -2.0]))
    groups = [{"params": [place], "lr": 0.01, "weight_decay": 0.0}]
    try:
        optimizer = OPTIMIZERS[kind](groups, kind(lr=0.01), False)
    except FoldsegError as error:  # of an optional package
        pytest.skip(str(error))
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = place.square().sum()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert all(after < before for before, after in pairwise(values))


def rates(kind: type[Schedule], steps: int, linear_warm_up: float = 0.0) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = build_schedule(kind(epochs=4, linear_warm_up=linear_warm_up), optimizer, steps)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return found


@every_schedule
@pytest.mark.parametrize("steps", [4, 40, 97])
def test_a_rate_is_between_0_and_the_optimisers_and_reaches_it(kind: type[Schedule], steps: int) -> None:
    found = rates(kind, steps)
    assert all(math.isfinite(rate) and 0 <= rate <= 0.5 + 1e-9 for rate in found)
    assert steps < 40 or max(found) > 0.45
    assert found == rates(kind, steps)


@every_schedule
def test_a_linear_warm_up_lowers_the_first_rates_alone(kind: type[Schedule]) -> None:
    found = rates(kind, 40)
    warm = rates(kind, 40, linear_warm_up=0.5)
    assert warm[0] < found[0] or found[0] == 0
    assert warm[20:] == pytest.approx(found[20:])


@every_schedule
def test_the_last_cycle_ends_with_the_last_epoch(kind: type[Schedule]) -> None:
    assert kind(epochs=7).list_cycle_ends()[-1] == 6


@every_schedule
def test_a_schedule_that_names_a_metric_watches_it(kind: type[Schedule]) -> None:
    watches = SCHEDULES[kind].observe is not None
    assert watches == (kind().find_watched_metric("pixel_accuracy") == "pixel_accuracy")

"""Schedules: each curve against a table, and what a resumed run makes of it."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from foldseg.config import schema
from foldseg.training.schedules import RateSchedule, build_schedule, lower_on_plateau


def rates(steps: int, lr: float = 1.0, **settings: object) -> list[float]:
    """Learning rate of each of `steps` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = build_schedule(schema.Schedule.parse(settings), optimizer, steps)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return found


# Rates of 8 steps in 4 epochs
HALF_COSINE = [(1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]
TABLE: dict[str, tuple[dict[str, object], list[float]]] = {
    "constant": ({}, [1] * 8),
    "one_cycle": (
        # half a cosine from 0.04 up to 1 at step 0.5 * 8 - 1 = 3, and another down to 4e-6 at step 7
        {"warm_up": 0.5},
        [0.04, 0.28, 0.76, 1, 0.853554, 0.500002, 0.146450, 4e-6],
    ),
    "cosine": ({"lowest": 0.1}, [0.1 + 0.9 * share for share in HALF_COSINE]),
    "warm_restarts": ({"cycles": 2}, [1, 0.853553, 0.5, 0.146447] * 2),
    "poly": ({"power": 2, "lowest": 0.2}, [0.2 + 0.8 * (1 - t / 8) ** 2 for t in range(8)]),
    "step": ({"milestones": [0.25, 0.75]}, [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]),
    "exponential": ({"epoch_decay": 0.25}, [0.5**t for t in range(8)]),
    "plateau": ({}, [1] * 8),  # without a validation
}


@pytest.mark.parametrize("name", TABLE)
def test_every_curve_is_that_of_its_table(name: str) -> None:
    """Defect 14: a schedule that is stepped with something else stays where it is."""
    settings, expected = TABLE[name]
    assert rates(8, kind=name, epochs=4, **settings) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_a_linear_warm_up_rises_under_every_curve(name: str) -> None:
    settings, curve = TABLE[name]
    found = rates(8, kind=name, epochs=4, linear_warm_up=0.5, **settings)
    ramp = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert found == pytest.approx([share * rate for share, rate in zip(ramp, curve, strict=True)], abs=1e-6)


@pytest.mark.parametrize("name", ["step", "exponential"])
def test_rates_do_not_fall_below_the_lowest(name: str) -> None:
    settings, curve = TABLE[name]
    found = rates(8, kind=name, epochs=4, lowest=0.05, **settings)
    assert found == pytest.approx([max(0.05, rate) for rate in curve])


def test_growing_cycles_end_with_epochs() -> None:
    """14 epochs in cycles of 2, 4 and 8; each starts at the peak."""
    config = schema.WarmRestarts(epochs=14, cycles=3, cycle_growth=2)
    assert config.list_cycle_ends() == [1, 5, 13]
    found = rates(140, kind="warm_restarts", epochs=14, cycles=3, cycle_growth=2)
    assert [step for step, rate in enumerate(found) if rate == 1] == [0, 20, 60]
    assert found[40] == pytest.approx(0.5)
    assert max(found[19], found[59], found[139]) < 0.01


@pytest.mark.parametrize("cycles", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("growth", [1.0, 1.3, 2.0])
def test_cycles_that_fit_end_with_different_epochs_and_the_last_with_the_last(growth: float, cycles: int) -> None:
    for epochs in range(1, 40):
        settings = {"kind": "warm_restarts", "epochs": epochs, "cycles": cycles, "cycle_growth": growth}
        if epochs / sum(growth**cycle for cycle in range(cycles)) < 1:
            with pytest.raises(ValidationError, match=r"cycles \d .* do not fit into \d+ epochs"):
                schema.Schedule.parse(settings)
            continue
        ends = schema.Schedule.parse(settings).list_cycle_ends()
        assert ends == sorted(set(ends))
        assert len(ends) == cycles
        assert ends[0] >= 0
        assert ends[-1] == epochs - 1


@pytest.mark.parametrize("name", [name for name in TABLE if name != "warm_restarts"])
def test_other_schedules_are_one_cycle(name: str) -> None:
    assert schema.Schedule.parse({"kind": name, "epochs": 7}).list_cycle_ends() == [6]


def test_milestones_rise() -> None:
    with pytest.raises(ValidationError, match="should rise"):
        schema.StepDecay(milestones=(0.5, 0.2))


def plateau_rates(values: list[float], **settings: object) -> list[float]:
    """Rate of each of a run's epochs of one step, which is validated after every epoch."""
    config = schema.Plateau(epochs=len(values), **settings)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(config, optimizer, len(values))
    found = []
    for value in values:
        optimizer.step()
        lower_on_plateau(schedule, value, config)
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_a_plateau_lowers_the_rate_when_the_score_has_not_risen_for_longer_than_its_patience() -> None:
    """torch's ReduceLROnPlateau counts the same way."""
    values = [0.1, 0.2, 0.2, 0.15, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, math.nan, math.nan, math.nan]
    plateau = {"factor": 0.1, "patience": 2, "threshold": 0.0}
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, "max", 0.1, 2, threshold=0, min_lr=0.005)
    expected = []
    for value in values:
        torchs.step(value)
        expected.append(theirs.param_groups[0]["lr"])
    assert plateau_rates(values, lowest=0.005, **plateau) == pytest.approx(expected)
    assert expected[-1] == 0.005
    assert expected[4] == pytest.approx(0.1)


def test_better_means_better_by_more_than_the_threshold() -> None:
    values = [0.5, 0.505, 0.509, 0.52]
    assert plateau_rates(values, patience=1, threshold=0.01) == [1, 1, 0.5, 0.5]
    assert plateau_rates(values, patience=1, threshold=0.001) == [1, 1, 1, 1]


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_schedule_goes_on_from_its_state_at_the_same_rates(name: str, stop: int) -> None:
    settings, _ = TABLE[name]
    if name == "plateau":
        settings = {"patience": 0, "factor": 0.7}
    config = schema.Schedule.parse({"kind": name, "epochs": 4, "linear_warm_up": 0.3, **settings})

    def start() -> tuple[torch.optim.Optimizer, RateSchedule]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
        return optimizer, build_schedule(config, optimizer, 8)

    def go(optimizer: torch.optim.Optimizer, schedule: RateSchedule, steps: range) -> list[float]:
        found = []
        for step in steps:
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
            if isinstance(config, schema.Plateau):
                lower_on_plateau(schedule, -step, config)
        return found

    whole, (first, schedule) = go(*start(), range(8)), start()
    before = go(first, schedule, range(stop))
    second, resumed = start()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert before + go(second, resumed, range(stop, 8)) == whole
    if name == "plateau":
        assert len(set(whole)) > 4  # else nothing was to be remembered


@pytest.mark.parametrize("steps", [5, 37, 400])
@pytest.mark.parametrize("warm_up", [0.1, 0.25, 0.8])
def test_one_cycle_equals_torchs(steps: int, warm_up: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    rise = max(warm_up, 1.5 / steps)
    torchs = OneCycleLR(optimizer, 0.1, total_steps=steps, pct_start=rise, cycle_momentum=False)
    expected = []
    for step in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            torchs.step()
    assert rates(steps, lr=0.1, warm_up=warm_up) == pytest.approx(expected, rel=1e-9)


def test_the_one_cycle_curve_is_torchs_by_hand() -> None:
    """Defect 14: a schedule that is stepped with something else stays where it is.

    101 steps, a quarter of them up: from lr/25 at step 0 to lr at step 0.25 * 101 - 1 = 24.25, then down to
    lr/250,000 at step 100; half a cosine each way.
    """
    low, end, top = 1 / 25, 1 / 250_000, 0.25 * 101 - 1

    def expected(step: int) -> float:
        if step <= top:
            return 1 + (low - 1) * (1 + math.cos(math.pi * step / top)) / 2
        return end + (1 - end) * (1 + math.cos(math.pi * (step - top) / (100 - top))) / 2

    found = rates(101)
    assert found == pytest.approx([expected(step) for step in range(101)], abs=1e-6)
    assert found[0] == pytest.approx(0.04)
    assert max(found) == pytest.approx(1, abs=1e-3)
    assert found.index(max(found)) in (24, 25)
    assert found[-1] == pytest.approx(4e-6)


@pytest.mark.parametrize("warm_up", [0.1, 0.5, 0.9])
def test_the_peak_is_at_the_end_of_the_warm_up(warm_up: float) -> None:
    found = rates(200, warm_up=warm_up)
    assert found.index(max(found)) == pytest.approx(200 * warm_up - 1, abs=1)


@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("steps", [*range(1, 13), 20, 40])
def test_every_number_of_steps_has_a_schedule(steps: int, warm_up: float) -> None:
    """Four steps and a warm-up of a quarter divide by zero in torch's own."""
    found = rates(steps, warm_up=warm_up)
    assert all(0 < rate <= 1 for rate in found)


def test_a_constant_schedule_is_constant() -> None:
    assert rates(20, lr=0.3, kind="constant") == [0.3] * 20


def test_asking_for_the_rate_changes_nothing() -> None:
    """Defect 28: a `get_lr` that moves the schedule."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(schema.OneCycle(), optimizer, 10)
    assert schedule.get_last_lr() == schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
    assert schedule.last_epoch == 0

"""Optimisers and schedules by name."""

import math
import sys
from typing import get_args

import pytest
import torch
from torch import nn

from foldseg.config import schema
from foldseg.errors import FoldsegError
from foldseg.models.factory import IMAGENET, SegmentationNetwork, build_network
from foldseg.training.optimizers import OPTIMIZERS, build_optimizer, build_schedule


class Net(nn.Module):
    """A network with every kind of parameter, in encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU())
        self.decoder = nn.Sequential(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4))
        self.head = nn.Linear(4, 2)
        self.temperature = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.temperature * self.head(self.decoder(self.encoder(images)).mean((2, 3)))


def network() -> SegmentationNetwork:
    return SegmentationNetwork(Net(), *IMAGENET)


CONFIG = schema.Optimizer(name="adamw", lr=0.01, encoder_lr_scale=0.1, weight_decay=0.05)


def table(optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, tuple[float, float]]:
    """Name of each parameter -> (lr, weight decay)."""
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_every_parameter_has_its_rate_and_decay() -> None:
    """The encoder learns at a tenth; norms, biases and scalars are not decayed."""
    net = network()
    names = {id(p): name.removeprefix("net.") for name, p in net.named_parameters()}
    assert table(build_optimizer(CONFIG, net), names) == {
        "encoder.0.weight": (pytest.approx(0.001), 0.05),
        "encoder.0.bias": (pytest.approx(0.001), 0.0),
        "encoder.1.weight": (pytest.approx(0.001), 0.0),
        "encoder.1.bias": (pytest.approx(0.001), 0.0),
        "encoder.2.weight": (pytest.approx(0.001), 0.0),
        "decoder.0.weight": (0.01, 0.05),
        "decoder.0.bias": (0.01, 0.0),
        "decoder.1.weight": (0.01, 0.0),
        "decoder.1.bias": (0.01, 0.0),
        "head.weight": (0.01, 0.05),
        "head.bias": (0.01, 0.0),
        "temperature": (0.01, 0.0),
    }


def test_every_parameter_of_a_real_network_is_in_exactly_one_group() -> None:
    net = build_network(schema.Model(encoder="mobilenet_v2", encoder_weights=None), 3)
    groups = build_optimizer(CONFIG, net).param_groups
    found = [id(p) for group in groups for p in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(p) for p in net.parameters()}
    assert len(groups) == 4


def test_frozen_parameters_are_left_out() -> None:
    net = network()
    for parameter in net.encoder_parameters():
        parameter.requires_grad_(False)
    found = [p for group in build_optimizer(CONFIG, net).param_groups for p in group["params"]]
    assert {id(p) for p in found} == {id(p) for p in net.decoder_parameters()}


@pytest.mark.parametrize(("name", "expected"), [("adamw", "AdamW"), ("fused_adam", "FusedAdam")])
def test_the_optimiser_is_the_one_that_is_named(name: str, expected: str) -> None:
    """Defect 26: the configuration says AdamW, the code builds Adam."""
    if name == "fused_adam":
        pytest.importorskip("apex.optimizers")
    config = schema.Optimizer(name=name)  # type: ignore[arg-type]
    assert type(build_optimizer(config, network())).__name__ == expected


def test_the_optimisers_of_the_configuration_are_all_there() -> None:
    assert set(OPTIMIZERS) == set(get_args(schema.Optimizer.model_fields["name"].annotation))


@pytest.mark.parametrize("missing", ["apex", "apex.optimizers"])
def test_a_missing_apex_is_explained(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(FoldsegError, match=r"fused_adam needs NVIDIA's apex, built from its source.*use adamw"):
        build_optimizer(schema.Optimizer(name="fused_adam"), network())


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_decay_pulls_matrices_and_nothing_else(decay: float) -> None:
    """Defect 9: a weight decay above 0 crashed. AdamW without gradient: w <- w (1 - lr decay)."""
    net = network()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(CONFIG.model_copy(update={"weight_decay": decay}), net).step()
    for name, parameter in net.named_parameters():
        rate = 0.001 if name.startswith("net.encoder") else 0.01
        factor = 1 - rate * decay if parameter.ndim > 1 else 1.0
        assert torch.allclose(parameter, before[name] * factor, rtol=1e-6), name


def rates(steps: int, lr: float = 1.0, **settings: object) -> list[float]:
    """Learning rate of each of `steps` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = build_schedule(schema.Schedule(**settings), optimizer, steps)  # type: ignore[arg-type]
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return found


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
    assert rates(20, lr=0.3, name="constant") == [0.3] * 20


def test_groups_keep_their_ratio_through_the_cycle() -> None:
    optimizer = build_optimizer(CONFIG, network())
    schedule = build_schedule(schema.Schedule(), optimizer, 10)
    for _ in range(9):
        decoder, encoder = optimizer.param_groups[-1]["lr"], optimizer.param_groups[0]["lr"]
        assert encoder / decoder == pytest.approx(0.1)
        optimizer.step()
        schedule.step()


def test_asking_for_the_rate_changes_nothing() -> None:
    """Defect 28: a `get_lr` that moves the schedule."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(schema.Schedule(), optimizer, 10)
    assert schedule.get_last_lr() == schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
    assert schedule.last_epoch == 0

"""Optimisers and schedules by name."""

import math
import sys

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from foldseg.config import schema
from foldseg.errors import FoldsegError
from foldseg.models.encoders import IMAGENET
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork
from foldseg.training.optimizers import build_optimizer
from foldseg.training.schedules import build_schedule


class Net(nn.Module):
    """A network with every kind of parameter, in encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU())
        self.decoder = nn.Sequential(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4))
        self.segmentation_head = nn.Linear(4, 2)
        self.temperature = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.temperature * self.segmentation_head(self.decoder(self.encoder(images)).mean((2, 3)))


def network() -> SegmentationNetwork:
    return SegmentationNetwork(Net(), *IMAGENET)


CONFIG = schema.AdamW(lr=0.01, encoder_lr_scale=0.1, weight_decay=0.05)


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
        "segmentation_head.weight": (0.01, 0.05),
        "segmentation_head.bias": (0.01, 0.0),
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


NAMES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "radam": "RAdam", "rmsprop": "RMSprop", "fused_adam": "FusedAdam"
}  # fmt: skip


def optimizer(name: str, **settings: object) -> schema.Optimizer:
    if name == "fused_adam":
        pytest.importorskip("apex.optimizers")
    return schema.Optimizer.parse({"kind": name, "lr": 0.01, **settings})


@pytest.mark.parametrize("lookahead", [None, {}])
@pytest.mark.parametrize("name", NAMES)
def test_the_optimiser_is_the_one_that_is_named(name: str, lookahead: dict[str, float] | None) -> None:
    """Defect 26: the configuration says AdamW, the code builds Adam."""
    built = build_optimizer(optimizer(name, lookahead=lookahead), network())
    assert type(built).__name__ == NAMES[name]


@pytest.mark.parametrize("lookahead", [None, {"steps": 2, "share": 0.5}])
@pytest.mark.parametrize("name", list(schema.Optimizer.kinds()))
def test_every_optimiser_learns(name: str, lookahead: dict[str, float] | None) -> None:
    torch.manual_seed(0)
    net = network()
    images, target = torch.randint(0, 256, (4, 3, 9, 9)), torch.tensor([0, 1, 0, 1])
    built, losses = build_optimizer(optimizer(name, lookahead=lookahead), net), []
    for _ in range(30):
        built.zero_grad()
        loss = nn.functional.cross_entropy(net.net((images / 255).float()), target)
        loss.backward()
        built.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


SETTINGS: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("sgd", {"momentum": 0.7, "nesterov": True}, {"momentum": 0.7, "nesterov": True}),
    ("adam", {"betas": [0.8, 0.9], "eps": 1e-3}, {"betas": (0.8, 0.9), "eps": 1e-3}),
    ("adamw", {"betas": [0.8, 0.9], "eps": 1e-3}, {"betas": (0.8, 0.9), "eps": 1e-3}),
    ("radam", {"betas": [0.8, 0.9]}, {"betas": (0.8, 0.9), "decoupled_weight_decay": True}),
    ("rmsprop", {"momentum": 0.7, "eps": 1e-3}, {"momentum": 0.7, "eps": 1e-3}),
]


@pytest.mark.parametrize(("name", "settings", "expected"), SETTINGS)
def test_settings_reach_the_optimiser(name: str, settings: dict[str, object], expected: dict[str, object]) -> None:
    """Defect 27: a setting that is read and not used."""
    group = build_optimizer(optimizer(name, **settings), network()).param_groups[0]
    assert {key: group[key] for key in expected} == expected


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum above 0"):
        optimizer("sgd", nesterov=True, momentum=0)
    with pytest.raises(ValidationError, match="nesterov"):
        optimizer("adam", nesterov=True)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("fused", [False, True])
def test_the_fused_version_is_taken_when_asked_for(name: str, fused: bool) -> None:
    built = build_optimizer(optimizer(name), network(), can_be_fused=fused)
    assert all(bool(group["fused"]) == fused for group in built.param_groups)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_fused_version_is_not_taken_when_settings_forbid_it(name: str) -> None:
    built = build_optimizer(optimizer(name, fused=False), network(), can_be_fused=True)
    assert not any(group["fused"] for group in built.param_groups)


@pytest.mark.parametrize("missing", ["apex", "apex.optimizers"])
def test_a_missing_apex_is_explained(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(FoldsegError, match=r"fused_adam needs NVIDIA's apex, built from its source.*use adamw"):
        build_optimizer(schema.FusedAdam(), network())


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


def test_groups_keep_their_ratio_through_the_cycle() -> None:
    optimizer = build_optimizer(CONFIG, network())
    schedule = build_schedule(schema.OneCycle(), optimizer, 10)
    for _ in range(9):
        decoder, encoder = optimizer.param_groups[-1]["lr"], optimizer.param_groups[0]["lr"]
        assert encoder / decoder == pytest.approx(0.1)
        optimizer.step()
        schedule.step()


def test_the_first_layers_of_an_encoder_may_learn_more_slowly() -> None:
    """Five depths from 0.1 to 1 in equal ratios, over the whole encoder's 0.5."""
    net = build_network(schema.Model(encoder="resnet18", encoder_weights=None), 3)
    config = CONFIG.model_copy(update={"lr": 1.0, "encoder_lr_scale": 0.5, "encoder_first_lr_scale": 0.1})
    names = {id(p): name for name, p in net.named_parameters()}
    found = {name: rate for name, (rate, _) in table(build_optimizer(config, net), names).items()}
    assert set(found) == set(names.values())
    encoder = [found[name] for name, _ in net.named_parameters() if ".encoder." in name]
    assert encoder == sorted(encoder)
    assert sorted(set(encoder)) == pytest.approx([0.5 * 0.1 ** (1 - depth / 4) for depth in range(5)])
    assert found["net.encoder.conv1.weight"] == pytest.approx(0.05)
    assert found["net.encoder.layer4.1.conv2.weight"] == pytest.approx(0.5)
    assert {rate for name, rate in found.items() if ".encoder." not in name} == {1.0}


def test_layers_that_end_in_classes_may_learn_faster() -> None:
    model = schema.Model(encoder="resnet18", encoder_weights=None, deep_supervision=True, presence_head=True)
    net = build_network(model, 3)
    config = CONFIG.model_copy(update={"lr": 1.0, "encoder_lr_scale": 1.0, "head_lr_scale": 10.0})
    names = {id(p): name for name, p in net.named_parameters()}
    found = table(build_optimizer(config, net), names)
    heads = {name for name, (rate, _) in found.items() if rate == 10}
    assert set(found) == set(names.values())
    assert heads == {name for name in found if "head" in name}
    assert len(heads) == 2 * (1 + 2 + 1)


def weights_after(
    steps: int, net: SegmentationNetwork, built: torch.optim.Optimizer, start: int = 0
) -> list[nn.Parameter]:
    """Parameters after steps whose gradients depend on the step only; the first one has none before step 3."""
    parameters = list(net.parameters())
    for step in range(start, start + steps):
        for number, p in enumerate(parameters):
            p.grad = None if number == 0 and step < 3 else torch.full_like(p, math.sin(step + number))
        built.step()
    return parameters


def test_lookahead_by_hand() -> None:
    """Every second step the weights go back to the middle between where they are and where they were."""
    net, plain = network(), network()
    plain.load_state_dict(net.state_dict())
    config = optimizer("sgd", momentum=0.0, weight_decay=0.0, lookahead={"steps": 2, "share": 0.5})
    built = build_optimizer(config, net)
    other = build_optimizer(config.model_copy(update={"lookahead": None}), plain)
    places = [[p.detach().clone() for p in net.parameters()]]
    for step in range(3):
        weights_after(1, net, built, start=step)
        places.append([p.detach().clone() for p in weights_after(1, plain, other, start=step)])
    for p, start, _, second, third in zip(net.parameters(), *places, strict=True):
        torch.testing.assert_close(p.detach(), (start + second) / 2 + third - second)  # the third step is a plain one


@pytest.mark.parametrize("name", list(schema.Optimizer.kinds()))
def test_lookahead_goes_on_from_its_state(name: str) -> None:
    config = optimizer(name, lookahead={"steps": 3})
    whole, first = network(), network()
    first.load_state_dict(whole.state_dict())
    expected = weights_after(8, whole, build_optimizer(config, whole))
    before = build_optimizer(config, first)
    weights_after(4, first, before)
    second = network()
    second.load_state_dict(first.state_dict())
    after = build_optimizer(config, second)
    after.load_state_dict(before.state_dict())
    found = weights_after(4, second, after, start=4)
    assert all(torch.equal(p, q) for p, q in zip(found, expected, strict=True))

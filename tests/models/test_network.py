"""What is changed about any network: norms, dropout, heads, frozen parts, checkpointing."""

import copy

import pytest
import torch
from torch import Tensor, nn

from foldseg.config.schema import Model
from foldseg.config.schema.definitions import NORM_DEFINITIONS
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork, freeze_encoder, list_batch_norms, thaw_encoder
from foldseg.models.norms import NORMS, exchange_norms

SMALL = {"encoder": "mobilenet_v2", "encoder_weights": None, "architecture": "unet"}


def build(classes: int = 3, **settings: object) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_network(Model(**(SMALL | settings)), classes)  # type: ignore[arg-type]


def pictures(side: int = 64, count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def step(network: SegmentationNetwork, images: Tensor | None = None) -> None:
    """One step of SGD on whatever the network puts out."""
    outputs = network.outputs(pictures() if images is None else images)
    parts = [outputs.logits, *outputs.auxiliary, *([] if outputs.presence is None else [outputs.presence])]
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.01)
    sum(part.float().square().mean() for part in parts).backward()  # type: ignore[union-attr]
    optimizer.step()


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "mobilenet_v2"), ("deeplabv3plus", "resnet18"), ("fpn", "timm-tf_efficientnet_lite0")],
)
def test_every_norm_steps_over_every_kind_of_network(architecture: str, encoder: str, norm: str) -> None:
    """Of torchvision, of smp, of timm with built-in activations; with a pooled branch of one pixel."""
    network = build(architecture=architecture, encoder=encoder, norm=norm)
    left = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(left) == (norm == "batch")
    assert bool(list_batch_norms(network)) == NORM_DEFINITIONS[norm].is_batch_norm
    before = state(network)
    step(network)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())
    assert changed(network, before)
    with torch.inference_mode():
        assert network.eval()(pictures(64, 1)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("norm", ["group", "instance", "evonorm"])
def test_scales_and_shifts_of_batch_norms_are_kept_under_their_names(norm: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 48, 1), nn.BatchNorm2d(48))
    nn.init.uniform_(module[1].weight)
    nn.init.uniform_(module[1].bias)
    before = state(module)
    exchange_norms(module, norm)
    assert torch.equal(module[1].weight, before["1.weight"])
    assert torch.equal(module[1].bias, before["1.bias"])


def test_sync_is_batch_norm_in_one_process() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
    twin, image = copy.deepcopy(module), torch.rand(2, 3, 4, 4)
    exchange_norms(twin, "sync")
    assert isinstance(twin[1], nn.SyncBatchNorm)
    assert torch.allclose(module(image), twin(image))
    assert torch.allclose(module[1].running_mean, twin[1].running_mean)


@pytest.mark.parametrize(("norm", "groups"), [("group", 3), ("instance", 1)])
def test_groups_are_normalised_by_image(norm: str, groups: int) -> None:
    """96 channels make 32 groups of 3, or 96 of 1, each of mean 0 and variance 1 in each image."""
    module = nn.Sequential(nn.BatchNorm2d(96))
    exchange_norms(module, norm)
    made = module(torch.rand(2, 96, 8, 8) * 5 + 3).reshape(2, 96 // groups, -1)
    assert made.mean(2).abs().max().item() < 1e-4
    assert made.var(2, unbiased=False).sub(1).abs().max().item() < 1e-3


def test_built_in_activations_of_timm_stay_but_for_evonorm() -> None:
    for norm, active in (("group", True), ("instance", True), ("none", True), ("sync", True), ("evonorm", False)):
        network = build(encoder="timm-tf_efficientnet_lite0", norm=norm)
        found = any(isinstance(m, nn.ReLU6) for m in network.encoder.modules())
        assert found == active, norm


@pytest.mark.parametrize("norm", NORMS)
def test_encoder_weights_from_a_file_fit_exchanged_norms(tmp_path, norm: str) -> None:
    torch.save(build().encoder.state_dict(), tmp_path / "e.pth")
    network = build(norm=norm, encoder_weights=str(tmp_path / "e.pth"))
    saved = torch.load(tmp_path / "e.pth")
    for name, value in network.encoder.state_dict().items():
        assert name.endswith(NORM_DEFINITIONS[norm].new_parameters) or torch.equal(value, saved[name]), name


def test_frozen_batch_norms_stay_as_they_are_and_the_rest_learns() -> None:
    network = build(freeze_batch_norm=True)
    network.eval()
    network.train()
    before = state(network)
    step(network)
    moved = changed(network, before)
    norms = {n for n, m in network.encoder.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert not {name for name in moved if name.removeprefix("net.encoder.").rpartition(".")[0] in norms}
    assert "net.encoder.features.0.0.weight" in moved
    assert any(name.startswith("net.decoder") and "running" in name for name in moved)


def test_frozen_batch_norms_and_other_norms_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="freeze_batch_norm: with norm group there is no batch norm"):
        build(norm="group", freeze_batch_norm=True)


@pytest.mark.parametrize("settings", [{}, {"freeze_batch_norm": True}])
def test_a_frozen_encoder_does_not_move_until_it_is_thawed(settings: dict[str, object]) -> None:
    """Defect 31: parameters and running statistics, whatever `.train()` is called how often."""
    network = build(**settings)
    freeze_encoder(network)
    network.train()
    network.net.train()
    network.train()
    before = state(network)
    step(network)
    moved = changed(network, before)
    assert moved
    assert not any(name.startswith("net.encoder") for name in moved)
    thaw_encoder(network)
    before = state(network)
    step(network)
    moved = changed(network, before)
    assert "net.encoder.features.0.0.weight" in moved
    assert ("net.encoder.features.0.1.running_mean" in moved) == (not settings)
    assert ("net.encoder.features.0.1.weight" in moved) == (not settings)


def test_thawing_an_evaluated_network_leaves_it_evaluated() -> None:
    network = build().eval()
    freeze_encoder(network)
    thaw_encoder(network)
    assert not any(norm.training for norm in list_batch_norms(network))


def test_dropout_drops_whole_channels_in_training_only() -> None:
    network = build(dropout=0.5)
    seen: list[Tensor] = []
    network.net.segmentation_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))  # type: ignore[union-attr]
    network.outputs(pictures())
    empty = (seen[0] == 0).all(-1).all(-1).float().mean().item()
    assert 0.2 < empty < 0.8
    network.eval()
    with torch.inference_mode():
        assert torch.equal(network(pictures()), network(pictures()))


def test_dropout_reaches_every_map_that_fcn_scores() -> None:
    network = build(architecture="fcn8s", dropout=0.5, options={"decoder_zero_skips": False})
    seen: list[Tensor] = []
    for score in network.net.segmentation_head.scores:  # type: ignore[union-attr]
        score.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    network.outputs(pictures())
    assert len(seen) == 3
    for inputs in seen:
        assert 0.2 < (inputs == 0).all(-1).all(-1).float().mean().item() < 0.8


@pytest.mark.parametrize(
    ("architecture", "sides"),
    [("unet", [8, 4]), ("pspnet", [8]), ("deeplabv3", [8, 8]), ("fcn16s", [8, 4]), ("segformer", [8, 4])],
)
def test_deep_supervision_reads_the_encoders_maps(architecture: str, sides: list[int]) -> None:
    network = build(5, architecture=architecture, deep_supervision=True)
    outputs = network.outputs(pictures())
    assert [a.shape for a in outputs.auxiliary] == [(2, 5, side, side) for side in sides]
    decoder = {id(p) for p in network.decoder_parameters()}
    assert all(id(p) in decoder for p in network.auxiliary_heads.parameters())
    step(network)
    assert all(p.grad is not None for p in network.auxiliary_heads.parameters())


def test_deep_supervision_of_acfnet_adds_to_its_coarse_map() -> None:
    network = build(architecture="acfnet", deep_supervision=True, options={"decoder_channels": 16})
    assert [a.shape[2] for a in network.outputs(pictures()).auxiliary] == [8, 8, 8]


def test_deep_supervision_without_such_maps_is_told() -> None:
    options = {"encoder_depth": 2, "decoder_channels": [16, 8]}
    with pytest.raises(FoldsegError, match=r"model\.deep_supervision: unet with mobilenet_v2 has no maps"):
        build(deep_supervision=True, options=options)


@pytest.mark.parametrize("architecture", ["unet", "fcn8s", "acfnet"])
def test_the_presence_head_has_a_logit_for_every_class(architecture: str) -> None:
    network = build(5, architecture=architecture, presence_head=True)
    outputs = network.outputs(pictures())
    assert outputs.presence is not None
    assert outputs.presence.shape == (2, 5)
    step(network)
    assert all(p.grad is not None for p in network.presence_head.parameters())  # type: ignore[union-attr]


def test_without_heads_there_is_nothing_else_to_supervise() -> None:
    outputs = build().outputs(pictures())
    assert outputs.auxiliary == ()
    assert outputs.presence is None


def test_outputs_and_forward_give_the_same_logits() -> None:
    network = build(deep_supervision=True, presence_head=True).eval()
    with torch.inference_mode():
        assert torch.equal(network(pictures()), network.outputs(pictures()).logits)


def saved_bytes(network: SegmentationNetwork) -> int:
    """Bytes that the encoder keeps for the gradients."""
    kept: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda t: t):
        features = network.encoder(torch.rand(2, 3, 64, 64))
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    assert features
    return sum(size for key, size in kept.items() if key not in weights)


@pytest.mark.parametrize(
    "encoder",
    ["resnet18", "mobilenet_v2", "tu-mobilenetv1_100", "densenet121", "mit_b0", "inception_v1"],
)
def test_checkpointing_keeps_gradients_and_statistics_and_saves_memory(encoder: str) -> None:
    options = {"decoder_channels": [16, 8, 8, 8, 8]}
    plain, thrifty = (
        build(encoder=encoder, gradient_checkpointing=on, options=options, dropout=0.2) for on in (False, True)
    )
    for network in (plain, thrifty):
        torch.manual_seed(5)
        step(network)
    for (name, ours), theirs in zip(thrifty.named_parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        assert ours.grad is None or torch.allclose(ours.grad, theirs.grad, atol=1e-6), name  # type: ignore[arg-type]
    for (name, ours), theirs in zip(thrifty.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name
    assert saved_bytes(thrifty) < 0.6 * saved_bytes(plain)


def test_a_checkpointed_network_can_be_copied() -> None:
    """As EMA does: the copy must run its own weights."""
    network = build(encoder="resnet18", gradient_checkpointing=True)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for p in network.encoder_parameters():
            p.zero_()
    features = twin.encoder(torch.rand(2, 3, 64, 64))
    assert all(bool(f.any()) for f in features)
    features[-1].mean().backward()
    assert all(p.grad is None for p in network.parameters())
    assert twin.net.encoder.layer1[0].conv1.weight.grad is not None  # type: ignore[union-attr, index]


def test_an_encoder_without_blocks_cannot_be_checkpointed() -> None:
    with pytest.raises(FoldsegError, match=r"model\.gradient_checkpointing: plain is a row of single layers"):
        build(encoder="plain", gradient_checkpointing=True)


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_a_map_of_one_pixel_of_one_image_is_taken(norm: str) -> None:
    """As the pooled branch of DeepLab has when an image is validated."""
    module = nn.Sequential(nn.BatchNorm2d(7))
    exchange_norms(module, norm)
    assert module(torch.rand(1, 7, 1, 1)).abs().max().item() < 1e-4

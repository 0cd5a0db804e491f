"""Every architecture and encoder of ours is built and stepped; those that smp lacks do what their papers say."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from foldseg.config.schema import Model
from foldseg.config.schema.definitions import UNUSUAL_ARCHITECTURES, define_architecture
from foldseg.errors import FoldsegError
from foldseg.models.acfnet import compute_class_attention, compute_class_centres
from foldseg.models.attention_unet import AttentionGate
from foldseg.models.encoders import ENCODERS
from foldseg.models.factory import ARCHITECTURES, build_network
from foldseg.models.fcn import build_bilinear_kernel
from foldseg.models.network import SegmentationNetwork
from foldseg.models.network_outputs import NetworkOutputs

# What an architecture needs beside a small encoder; a new one needs nothing
NEEDS: dict[str, dict[str, object]] = {
    "dpt": {"encoder": "tu-vit_tiny_patch16_224"},
    "acfnet": {"options": {"decoder_channels": 32}},
    "plain_unet": {"encoder": "plain"},
}


def build(classes: int = 3, **settings: object) -> SegmentationNetwork:
    base = {"encoder": "mobilenet_v2", "encoder_weights": None}
    return build_network(Model(**(base | settings)), classes)  # type: ignore[arg-type]


def pictures(side: int = 64, count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def gradients(outputs: NetworkOutputs, network: nn.Module) -> list[str]:
    """Sum up all outputs, go backward; names of parameters that got no gradient."""
    total = sum(part.float().square().mean() for part in (outputs.logits, *outputs.auxiliary))
    total.backward()  # type: ignore[union-attr]
    return [name for name, p in network.named_parameters() if p.grad is None]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_steps(architecture: str) -> None:
    network = build(5, architecture=architecture, **NEEDS.get(architecture, {}))
    side = {"dpt": 224, "pan": 128}.get(architecture, 96)
    outputs = network.outputs(pictures(side))
    assert outputs.logits.shape == (2, 5, side, side)
    assert bool(outputs.auxiliary) == define_architecture(architecture).has_auxiliary_logits
    assert torch.isfinite(outputs.logits).all()
    without = [name for name in gradients(outputs, network) if not name.startswith("net.encoder")]
    assert not without or architecture == "dpt"  # smp's DPT makes one projection of class tokens more than it needs
    with torch.inference_mode():
        assert network.eval()(pictures(side, 1)).shape == (1, 5, side, side)


def test_no_other_architecture_is_called_unusual() -> None:
    assert set(UNUSUAL_ARCHITECTURES) <= set(ARCHITECTURES)


@pytest.mark.parametrize(
    "encoder", [*sorted(set(ENCODERS) - {"wide_resnet38"}), "tu-mobilenetv1_100", "tu-convnext_atto", "mit_b0"]
)
@pytest.mark.parametrize("architecture", ["fcn8s", "attention_unet", "residual_unet", "plain_unet"])
def test_ours_take_every_kind_of_encoder(architecture: str, encoder: str) -> None:
    """With and without a map of stride 1 (plain), with an empty one at stride 2 (transformers)."""
    options: dict[str, object] = {}
    if architecture == "plain_unet":
        options = {"encoder_depth": 5, "decoder_channels": [32, 16, 16, 8, 8]}
    elif architecture == "residual_unet":
        options = {"decoder_filters": 4}
    network = build(architecture=architecture, encoder=encoder, options=options).eval()
    with torch.inference_mode():
        assert network(pictures(64, 1)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_our_encoders_say_what_maps_they_make(encoder: str) -> None:
    with torch.device("meta"):
        made = build(architecture="fcn32s", encoder=encoder).encoder
        maps = made(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == made.out_channels
    assert [64 // m.shape[2] for m in maps] == [2**i for i in range(6 if made._depth == 5 else 5)]


@pytest.mark.parametrize(("encoder", "parameters"), [("inception_v1", 5_599_904), ("plain_bn", 9_407_936)])
def test_our_encoders_have_the_known_number_of_parameters(encoder: str, parameters: int) -> None:
    """torchvision's GoogLeNet has 6,624,904, of which 1,025,000 in its last layer. Plain, by hand: see below."""
    options = {"encoder_depth": 4, "decoder_channels": [8, 8, 8, 8]} if encoder.startswith("plain") else {}
    made = build(architecture="plain_unet" if options else "fcn32s", encoder=encoder, options=options)
    if encoder == "plain_bn":  # two 3x3 convolutions a stage, without bias, and a batch norm after each
        widths = [3, 64, 128, 256, 512, 512]
        pairs = list(pairwise(widths))
        assert parameters == sum(9 * (a * b + b * b) + 4 * b for a, b in pairs)
    assert sum(p.numel() for p in made.encoder_parameters()) == parameters


def test_inception_v1_is_torchvisions_to_the_last_map() -> None:
    import torchvision

    whole = torchvision.models.GoogLeNet(aux_logits=False, init_weights=False).eval()
    encoder = build(architecture="fcn32s", encoder="inception_v1").encoder.eval()
    encoder.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("fc")})
    seen: list[Tensor] = []
    whole.avgpool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.rand(1, 3, 96, 64)
    with torch.inference_mode():
        whole(image)
        assert torch.equal(encoder(image)[-1], seen[0])


@pytest.mark.parametrize(("residual", "published"), [(True, 92_014_472), (False, 81_091_464)])
def test_the_residual_unet_is_the_predecessors(residual: bool, published: int) -> None:
    """Its figures are torchsummary's, which counted the encoder twice: it was registered under two names there."""
    with torch.device("meta"):
        network = build(
            8, architecture="residual_unet", encoder="resnext50_32x4d", options={"decoder_residual": residual}
        )
    encoder = sum(p.numel() for p in network.encoder_parameters())
    decoder = sum(p.numel() for p in network.decoder_parameters())
    assert encoder == 22_979_904  # torchvision's 25,028,904 less the last layer's 2,049,000
    assert decoder + 2 * encoder == published


def test_its_fpn_twin_has_the_predecessors_number_of_parameters() -> None:
    with torch.device("meta"):
        network = build(8, architecture="fpn", encoder="resnext50_32x4d")
    assert sum(p.numel() for p in network.parameters()) == 25_588_808


def test_the_residual_unet_takes_sides_that_64_does_not_divide() -> None:
    network = build(architecture="residual_unet", options={"decoder_filters": 4}).eval()
    with torch.inference_mode():
        assert network(pictures(96, 1)).shape == (1, 3, 96, 96)


@pytest.mark.parametrize("factor", [2, 8])
def test_a_transposed_convolution_starts_as_bilinear_interpolation(factor: int) -> None:
    scores = torch.rand(1, 3, 6, 5)
    made = functional.conv_transpose2d(scores, build_bilinear_kernel(3, factor), stride=factor, padding=factor // 2)
    expected = functional.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # the outermost pixels see zeros beyond the border
    assert torch.allclose(made[inner], expected[inner], atol=1e-6)


@pytest.mark.parametrize("upsampling", ["bilinear", "transposed"])
@pytest.mark.parametrize(("architecture", "skips"), [("fcn32s", 0), ("fcn16s", 1), ("fcn8s", 2)])
def test_fcn_skips_start_as_zero_and_are_added(architecture: str, skips: int, upsampling: str) -> None:
    """With zero skips only the coarsest map matters; a skip's bias then moves the logits by as much."""
    network = build(architecture=architecture, options={"decoder_upsampling": upsampling}).eval()
    head = network.net.segmentation_head
    assert len(head.scores) == skips + 1  # type: ignore[union-attr, arg-type]
    with torch.inference_mode():
        features = network.encoder(torch.rand(1, 3, 96, 96))
        alone = [features[-1], *(torch.zeros_like(f) for f in features[-2 : -2 - skips : -1])]
        before = head([features[-1], *features[-2 : -2 - skips : -1]])  # type: ignore[operator]
        assert torch.equal(before, head(alone))  # type: ignore[operator]
        for score in list(head.scores)[1:]:  # type: ignore[union-attr, arg-type]
            score.bias += 0.5
        moved = head(alone) - before  # type: ignore[operator]
    assert torch.allclose(moved[..., 40:56, 40:56], torch.full((1, 3, 16, 16), 0.5 * skips), atol=1e-5)


def test_fcn_without_zeros_starts_with_skips() -> None:
    scores = build(architecture="fcn8s", options={"decoder_zero_skips": False}).net.segmentation_head.scores  # type: ignore[union-attr]
    assert all(bool(score.weight.any()) for score in scores)  # type: ignore[union-attr]


def test_fcn_with_fully_connected_layers_is_the_papers_on_vgg16() -> None:
    """134,260,544 parameters of VGG16 less its classifier, by hand; scores of 21 classes beside them."""
    with torch.device("meta"):
        network = build(21, architecture="fcn32s", encoder="vgg16", options={"decoder_fc_channels": 4096})
    scores = 4096 * 21 + 21
    assert sum(p.numel() for p in network.parameters()) == 138_357_544 - (4096 * 1000 + 1000) + scores


@pytest.mark.parametrize("architecture", ["fcn8s", "plain_unet"])
def test_an_unknown_upsampling_is_told(architecture: str) -> None:
    settings = NEEDS.get(architecture, {})
    with pytest.raises(FoldsegError, match="decoder_upsampling 'cubic': valid are bilinear, transposed"):
        build(architecture=architecture, **settings, options={"decoder_upsampling": "cubic"})


@pytest.mark.parametrize("upsampling", ["bilinear", "transposed"])
@pytest.mark.parametrize("norm", [True, False])
def test_the_plain_unet_has_its_options(upsampling: str, norm: bool) -> None:
    options = {"decoder_upsampling": upsampling, "decoder_use_batchnorm": norm}
    network = build(architecture="plain_unet", encoder="plain", options=options)
    assert any(isinstance(m, nn.ConvTranspose2d) for m in network.modules()) == (upsampling == "transposed")
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == norm
    assert network.stride == 16
    assert not gradients(network.outputs(pictures(32)), network)


@pytest.mark.parametrize("architecture", ["attention_unet", "plain_unet"])
def test_too_few_channels_are_told(architecture: str) -> None:
    with pytest.raises(FoldsegError, match=r"decoder_channels \[8, 8\]: [45] numbers are needed"):
        build(architecture=architecture, encoder="plain", options={"decoder_channels": [8, 8]})


def test_an_attention_gate_follows_the_papers_equations() -> None:
    gate = AttentionGate(skip=4, gating=6)
    skip, gating = torch.rand(1, 4, 8, 8), torch.rand(1, 6, 4, 4)
    made = gate(skip, gating)
    weight = (made / skip)[0]
    assert torch.allclose(weight, weight[:1].expand(4, -1, -1), atol=1e-5)  # the same for all channels
    q = gate.psi(functional.relu(gate.of_skip(skip) + gate.of_gating(gating)))[0, 0]
    assert weight[0, 0, 0].item() == pytest.approx(torch.sigmoid(q[0, 0]).item(), abs=1e-5)  # the corner is not blended
    nn.init.constant_(gate.psi.bias, -50.0)
    assert gate(skip, gating).abs().max().item() < 1e-6  # a shut gate lets nothing through


def test_class_centres_and_attention_by_hand() -> None:
    """Two pixels, two classes: hard probabilities give each class its own pixel's feature, and give it back."""
    features = torch.tensor([[[[1.0, 5.0]], [[2.0, 7.0]]]])  # (1, 2 channels, 1, 2)
    hard = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    centres = compute_class_centres(features, hard)
    assert centres[0].tolist() == [[1.0, 2.0], [5.0, 7.0]]
    assert torch.equal(compute_class_attention(centres, hard), features)
    soft = torch.tensor([[[[0.2, 0.6]], [[0.8, 0.4]]]])
    assert compute_class_centres(features, soft)[0, 0].tolist() == pytest.approx(
        [0.25 * 1 + 0.75 * 5, 0.25 * 2 + 0.75 * 7]
    )
    absent = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    assert torch.isfinite(compute_class_centres(features, absent)).all()


def test_acfnet_supervises_its_coarse_map_at_stride_8() -> None:
    network = build(4, architecture="acfnet", encoder="resnet18", options={"decoder_channels": 16})
    outputs = network.outputs(pictures(64))
    assert [a.shape for a in outputs.auxiliary] == [(2, 4, 8, 8)]
    assert outputs.logits.shape == (2, 4, 64, 64)


def test_encoders_that_pool_cannot_be_dilated() -> None:
    with pytest.raises(FoldsegError, match=r"acfnet with inception_v1 cannot be built: .* cannot have output stride 8"):
        build(architecture="acfnet", encoder="inception_v1")


@pytest.mark.parametrize("encoder", ["plain", "wide_resnet38"])
def test_imagenet_weights_that_do_not_exist_are_told(encoder: str) -> None:
    with pytest.raises(FoldsegError, match=f"{encoder} has no imagenet weights; give encoder_weights a local file"):
        build(architecture="plain_unet", encoder=encoder, encoder_weights="imagenet")


def test_decoder_options_are_passed_through() -> None:
    options = {
        "decoder_attention_type": "scse", "decoder_channels": [32, 16, 8, 8, 4],
        "decoder_use_norm": {"type": "instancenorm", "affine": True}, "decoder_interpolation": "bilinear",
    }  # fmt: skip
    network = build(options=options)
    kinds = [type(m).__name__ for m in network.net.decoder.modules()]  # type: ignore[union-attr]
    assert "SCSEModule" in kinds
    assert "InstanceNorm2d" in kinds
    assert "BatchNorm2d" not in kinds
    assert network.net.segmentation_head[0].in_channels == 4  # type: ignore[index, union-attr]

"""Networks for images of other than three channels: every decoder and our encoders, and weights that are adapted."""

from pathlib import Path

import pytest
import torch
from segmentation_models_pytorch.encoders._utils import patch_first_conv
from torch import nn

from foldseg.config.schema import Model
from foldseg.models import encoders
from foldseg.models.encoders import ENCODERS
from foldseg.models.factory import ARCHITECTURES, build_network
from foldseg.models.weights import adapt_channels


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_decoder_takes_images_of_any_channels(architecture: str, channels: int) -> None:
    encoder = "tu-vit_tiny_patch16_224" if architecture == "dpt" else "resnet18"
    options = (
        {"decoder_channels": [16, 8, 8, 8, 8]} if architecture in ("unet", "unetplusplus", "attention_unet") else {}
    )
    if architecture == "plain_unet":
        encoder = "plain_bn"
    model = Model(architecture=architecture, encoder=encoder, encoder_weights=None, options=options)
    network = build_network(model, 3, channels=channels).eval()
    size = (224, 224) if architecture == "dpt" else (192, 192)
    with torch.no_grad():
        logits = network(torch.zeros(1, channels, *size, dtype=torch.uint8))
    assert network.channels == channels and logits.shape == (1, 3, *size)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "wide_resnet38"])
def test_our_encoders_take_images_of_any_channels(encoder: str) -> None:
    network = build_network(Model(encoder=encoder, encoder_weights=None, architecture="fpn"), 2, channels=2).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 64, 64, dtype=torch.uint8)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 16])
def test_weights_are_adapted_as_smp_adapts_them(channels: int) -> None:
    theirs = nn.Sequential(nn.Conv2d(3, 8, 7))
    weight = theirs[0].weight.detach().clone()
    patch_first_conv(theirs, channels)
    assert torch.allclose(adapt_channels(weight, channels), theirs[0].weight)


def test_a_file_of_weights_for_rgb_fits_an_encoder_of_other_channels(tmp_path: Path) -> None:
    rgb = build_network(Model(encoder="resnet18", encoder_weights=None), 3)
    torch.save(rgb.encoder.state_dict(), tmp_path / "rgb.pth")
    model = Model(encoder="resnet18", encoder_weights=str(tmp_path / "rgb.pth"))
    grey = build_network(model, 3, channels=1)
    expected = rgb.encoder.state_dict()
    for name, value in grey.encoder.state_dict().items():
        same = expected[name].sum(1, keepdim=True) if name == "conv1.weight" else expected[name]
        assert torch.allclose(value, same), name


def test_a_network_starts_from_one_of_other_channels(tmp_path: Path) -> None:
    grey = build_network(Model(encoder="resnet18", encoder_weights=None), 3, channels=1)
    torch.save({"state_dict": {f"network.{name}": v for name, v in grey.state_dict().items()}}, tmp_path / "grey.ckpt")
    model = Model(encoder="resnet18", start_from=tmp_path / "grey.ckpt")
    statistics = (0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8)
    network = build_network(model, 3, channels=4, statistics=statistics)
    first, source = network.encoder.conv1.weight, grey.encoder.conv1.weight  # type: ignore[union-attr]
    assert torch.allclose(first, source.repeat(1, 4, 1, 1) / 4)  # type: ignore[operator]
    assert torch.equal(network.encoder.layer4[1].conv2.weight, grey.encoder.layer4[1].conv2.weight)  # type: ignore[index]
    assert torch.allclose(network.mean.ravel() / 255, torch.tensor(statistics[0]))


def test_downloaded_weights_of_our_encoders_are_adapted(monkeypatch: pytest.MonkeyPatch) -> None:
    published = build_network(Model(encoder="inception_v1", encoder_weights=None, architecture="fpn"), 2).encoder

    class Weights:
        @staticmethod
        def get_state_dict(**_: object) -> dict[str, torch.Tensor]:
            return published.state_dict()

    definition = encoders.EncoderDefinition(encoders.InceptionV1, imagenet_weights=Weights)  # type: ignore[arg-type]
    monkeypatch.setitem(encoders.ENCODERS, "inception_v1", definition)
    network = build_network(Model(encoder="inception_v1", architecture="fpn"), 2, channels=5)
    weight = published.conv1.conv.weight  # type: ignore[union-attr]
    assert torch.allclose(network.encoder.conv1.conv.weight, adapt_channels(weight, 5))  # type: ignore[union-attr]


def test_statistics_of_the_data_normalise(tmp_path: Path) -> None:
    model = Model(encoder="resnet18", encoder_weights=None)
    network = build_network(model, 2, statistics=((0.0, 0.5, 1.0), (1.0, 1.0, 0.5)))
    seen = []
    network.encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        network.eval()(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    assert torch.allclose(seen[0][0, :, 0, 0], torch.tensor([1.0, 0.5, 0.0]))

"""What a network costs, against numbers worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from foldseg.config.schema import Model
from foldseg.models.cost import count_saved_bytes, measure_cost
from foldseg.models.encoders import HALF
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork, freeze_encoder


class Halving(nn.Module):
    """An encoder of one 2x2 convolution at stride 2."""

    output_stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 2, stride=2, bias=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, self.conv(x)]


class Tiny(nn.Module):
    """That encoder, sigmoid, a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Halving()
        self.segmentation_head = nn.Conv2d(8, 4, 1)

    def decoder(self, features: list[Tensor]) -> Tensor:
        return torch.sigmoid(features[-1])

    def check_input_shape(self, x: Tensor) -> None:
        assert x.shape[2] % 2 == 0


@pytest.fixture
def tiny() -> SegmentationNetwork:
    return SegmentationNetwork(Tiny(), *HALF)


def test_parameters_and_multiplications_by_hand(tiny: SegmentationNetwork) -> None:
    cost = measure_cost(tiny, 32, 64, repeats=1)
    assert cost.parameters == cost.trainable == 3 * 8 * 4 + 8 * 4 + 4
    assert cost.gmacs == pytest.approx((16 * 32 * 8 * 12 + 16 * 32 * 4 * 8) / 1e9)
    assert cost.output_stride == 2
    assert cost.latency > 0


def test_what_is_kept_by_hand(tiny: SegmentationNetwork) -> None:
    """The normalised image, for the first convolution, and the sigmoid, once for itself and the head together."""
    images = torch.zeros(2, 3, 32, 64, dtype=torch.uint8)
    assert count_saved_bytes(tiny.train(), images) == 4 * 2 * (3 * 32 * 64 + 8 * 16 * 32)
    assert measure_cost(tiny, 32, 64, 1).activations == pytest.approx(4 * (3 * 32 * 64 + 8 * 16 * 32) / 2**20)


def test_the_peak_is_at_least_what_must_be_there_at_once(tiny: SegmentationNetwork) -> None:
    """Kept activations, logits and weights; and no more than all that is ever made."""
    weights = 4 * sum(t.numel() for t in (*tiny.parameters(), *tiny.buffers()))
    images, logits, encoded = 2 * 3 * 32 * 64, 4 * 2 * 4 * 16 * 32, 4 * 2 * 8 * 16 * 32
    kept = 4 * images + encoded
    peak = measure_cost(tiny, 32, 64, 1).peak * 2**20
    assert kept + logits + weights + images < peak < weights * 2 + images * 9 + 4 * (encoded + logits) + 1000


def test_frozen_parameters_are_not_trainable_and_nothing_is_kept_for_them(tiny: SegmentationNetwork) -> None:
    before = measure_cost(tiny, 32, 64, 1)
    freeze_encoder(tiny)
    cost = measure_cost(tiny, 32, 64, 1)
    assert (cost.parameters, cost.trainable) == (before.parameters, 8 * 4 + 4)
    assert cost.activations < before.activations


def test_checkpointing_shows_in_the_memory() -> None:
    plain, thrifty = (
        measure_cost(
            build_network(
                Model(architecture="fcn32s", encoder="resnet18", encoder_weights=None, gradient_checkpointing=on), 3
            ),
            128, 128, 1,
        )
        for on in (False, True)
    )  # fmt: skip
    assert thrifty.activations < 0.7 * plain.activations
    assert thrifty.peak < plain.peak
    assert thrifty.gmacs == plain.gmacs


def test_dilated_encoders_say_so() -> None:
    network = build_network(Model(architecture="deeplabv3plus", encoder="resnet18", encoder_weights=None), 3)
    assert measure_cost(network, 64, 64, 1).output_stride == 16

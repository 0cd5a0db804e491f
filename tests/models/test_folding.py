"""Batch norms folded into convolutions: the same answers with fewer layers, or the network as it was."""

import pytest
import torch
from torch import Tensor, nn

from foldseg.config.schema import Model
from foldseg.models.factory import build_network
from foldseg.models.folding import fold_batch_norms
from foldseg.models.network import SegmentationNetwork


def norms(network: nn.Module) -> int:
    return sum(type(part) is nn.BatchNorm2d for part in network.modules())


def trained(network: SegmentationNetwork) -> SegmentationNetwork:
    """Statistics, scales and shifts that are not those of a new network."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in ((part.running_mean, -0.2, 0.2), (part.running_var, 0.5, 2.0)):
                tensor.uniform_(low, high, generator=generator)  # type: ignore[union-attr]
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "encoder", "left"),
    [
        ("unet", "resnet18", 0),
        ("fpn", "mobilenet_v2", 0),
        ("linknet", "resnet18", 5),  # after transposed convolutions
        ("unet", "tu-efficientnet_lite0", 0),
        ("attention_unet", "resnet18", 0),
    ],
)
def test_a_folded_network_says_the_same(architecture: str, encoder: str, left: int) -> None:
    torch.manual_seed(0)
    network = trained(build_network(Model(architecture=architecture, encoder=encoder, encoder_weights=None), 5))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    slim = fold_batch_norms(network)
    assert norms(slim) == left < norms(network)
    images = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(images)
        assert torch.allclose(slim(images), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Odd(SegmentationNetwork):
    """A network by hand; `stride` 8."""

    channels = 3  # type: ignore[assignment]

    def __init__(self, branches: bool, only: int | None = None) -> None:
        nn.Module.__init__(self)
        self.encoder_is_frozen = self.batch_norm_is_frozen = False
        self.conv, self.norm, self.branches, self.only = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), branches, only
        nn.init.constant_(self.norm.weight, 3.0)

    @property
    def stride(self) -> int:
        return 8

    def forward(self, images: Tensor) -> Tensor:
        if self.only is not None and images.shape[-1] != self.only:
            raise AssertionError(f"takes {self.only} pixels only")
        seen = self.conv(images.float())
        return self.norm(seen) + seen if self.branches else self.norm(seen)


def test_a_convolution_that_something_else_needs_is_left_alone() -> None:
    network = Odd(branches=True).eval()
    assert fold_batch_norms(network) is network
    assert norms(fold_batch_norms(Odd(branches=False).eval())) == 0


def test_a_network_of_one_size_is_left_alone() -> None:
    network = Odd(branches=False, only=24).eval()
    assert fold_batch_norms(network) is network

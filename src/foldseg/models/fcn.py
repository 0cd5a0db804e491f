"""Fully convolutional networks, FCN-32s, 16s and 8s (Long et al., 2015, arXiv:1411.4038), with smp's encoders."""

from typing import Any, ClassVar

import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

UPSAMPLINGS = ("bilinear", "transposed")


class Upsampling(nn.Module):
    """Enlarges scores `factor` times: bilinearly, or by a transposed convolution that starts as bilinear and learns."""

    def __init__(self, classes: int, factor: int, kind: str) -> None:
        super().__init__()
        if kind not in UPSAMPLINGS:
            raise ValueError(f"decoder_upsampling {kind!r}: valid are {', '.join(UPSAMPLINGS)}")
        self.layer: nn.Module = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
        if kind == "transposed":
            self.layer = nn.ConvTranspose2d(classes, classes, 2 * factor, factor, factor // 2, bias=False)
            self.layer.weight.data = build_bilinear_kernel(classes, factor)

    def forward(self, scores: Tensor) -> Tensor:
        """Return (N, classes, factor h, factor w) from (N, classes, h, w)."""
        larger: Tensor = self.layer(scores)
        return larger


def build_bilinear_kernel(classes: int, factor: int) -> Tensor:
    """Return weights (classes, classes, 2 factor, 2 factor) with which a transposed convolution interpolates."""
    distance = (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    tent = 1 - distance
    return torch.eye(classes)[:, :, None, None] * (tent[:, None] * tent[None, :])


class FCNDecoder(nn.Module):
    """Chooses the encoder's maps that are scored, the coarsest first.

    With `channels` above 0, the coarsest map first passes VGG's fully connected layers fc6 and fc7, which are 7x7 and
    1x1 convolutions here.
    """

    def __init__(self, deepest: int, maps: int, channels: int) -> None:
        super().__init__()
        self.maps = maps
        self.fc: nn.Module = nn.Identity()
        if channels:
            self.fc = nn.Sequential(
                nn.Conv2d(deepest, channels, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout2d(0.5),
                nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True), nn.Dropout2d(0.5),
            )  # fmt: skip

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the last `maps` of the maps (N, C_i, H / 2^i, W / 2^i) for i from 0, the coarsest first."""
        deepest, *finer = reversed(features)
        return [self.fc(deepest), *finer[: self.maps - 1]]


class FCNHead(nn.Module):
    """Scores maps by 1x1 convolutions and sums them up.

    From the coarsest map on, the sum is doubled in size and the scores of the next map are added. The last sum is
    enlarged to the image's size.
    """

    def __init__(self, channels: list[int], classes: int, stride: int, upsampling: str, zero_skips: bool) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in channels)
        self.steps = nn.ModuleList(Upsampling(classes, 2, upsampling) for _ in channels[1:])
        self.last = Upsampling(classes, stride, upsampling)
        if zero_skips:
            for score in list(self.scores)[1:]:
                nn.init.zeros_(score.weight)  # type: ignore[arg-type]
                nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return logits (N, classes, H, W) from maps, the coarsest first."""
        total = self.scores[0](maps[0])
        for step, score, finer in zip(self.steps, list(self.scores)[1:], maps[1:], strict=True):
            total = step(total) + score(finer)
        logits: Tensor = self.last(total)
        return logits


class FCN(SegmentationModel):  # type: ignore[misc]
    """An FCN with the constructor of smp's models.

    `decoder_fc_channels`: width of fc6 and fc7 (4096 in the paper, with VGG), 0 for none. `decoder_upsampling`:
    bilinear, or transposed (learned). `decoder_zero_skips`: skip connections start as zero, so that training starts as
    FCN-32s.
    """

    maps: ClassVar[int]
    """Number of the encoder's maps that are scored."""

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_weights: str | None = "imagenet",
        decoder_upsampling: str = "bilinear",
        decoder_zero_skips: bool = True,
        decoder_fc_channels: int = 0,
        in_channels: int = 3,
        classes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights, **kwargs)
        deepest, *finer = reversed(self.encoder.out_channels)
        self.decoder = FCNDecoder(deepest, self.maps, decoder_fc_channels)
        channels = [decoder_fc_channels or deepest, *finer[: self.maps - 1]]
        initialize_decoder(self.decoder)
        self.segmentation_head = FCNHead(
            channels, classes, 32 >> (self.maps - 1), decoder_upsampling, decoder_zero_skips
        )
        self.classification_head = None


class FCN32s(FCN):
    """FCN without skip connections: the last map's scores, enlarged 32 times."""

    maps = 1


class FCN16s(FCN):
    """FCN with a skip connection from the map of stride 16."""

    maps = 2


class FCN8s(FCN):
    """FCN with skip connections from the maps of strides 16 and 8."""

    maps = 3

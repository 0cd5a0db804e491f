"""Fully convolutional networks, FCN-32s, 16s and 8s (Long et al. 2015, arXiv:1411.4038), over smp's encoders."""

from typing import Any, ClassVar

import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

UPSAMPLINGS = ("bilinear", "transposed")


class Upsampling(nn.Module):
    """`factor` times larger scores: bilinear, or a transposed convolution that starts as bilinear and learns."""

    def __init__(self, classes: int, factor: int, kind: str) -> None:
        super().__init__()
        if kind not in UPSAMPLINGS:
            raise ValueError(f"decoder_upsampling {kind!r}: valid are {', '.join(UPSAMPLINGS)}")
        self.layer: nn.Module = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
        if kind == "transposed":
            self.layer = nn.ConvTranspose2d(classes, classes, 2 * factor, factor, factor // 2, bias=False)
            self.layer.weight.data = bilinear_kernel(classes, factor)

    def forward(self, scores: Tensor) -> Tensor:
        """(N, classes, h, w) -> (N, classes, factor h, factor w)."""
        larger: Tensor = self.layer(scores)
        return larger


def bilinear_kernel(classes: int, factor: int) -> Tensor:
    """Weights (classes, classes, 2 factor, 2 factor) with which a transposed convolution interpolates each class."""
    distance = (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    tent = 1 - distance
    return torch.eye(classes)[:, :, None, None] * (tent[:, None] * tent[None, :])


class FCNDecoder(nn.Module):
    """From the encoder's maps to those that are scored, coarsest first.

    With `channels`, the coarsest goes through VGG's fully connected layers fc6 and fc7 as 7x7 and 1x1 convolutions.
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
        """Maps (N, C_i, H / 2^i, W / 2^i) for i from 0 -> `maps` of them, from the last."""
        deepest, *finer = reversed(features)
        return [self.fc(deepest), *finer[: self.maps - 1]]


class FCNHead(nn.Module):
    """Score every map by a 1x1 convolution, add each to the twice larger sum of the coarser ones, enlarge the last."""

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
        """Maps, coarsest first -> logits (N, classes, H, W)."""
        total = self.scores[0](maps[0])
        for step, score, finer in zip(self.steps, list(self.scores)[1:], maps[1:], strict=True):
            total = step(total) + score(finer)
        logits: Tensor = self.last(total)
        return logits


class FCN(SegmentationModel):  # type: ignore[misc]
    """Scores of the encoder's last map, and of finer ones as skips, in smp's call convention.

    `decoder_fc_channels`: width of fc6 and fc7 (4096 in the paper, with VGG), 0 for none. `decoder_upsampling`:
    bilinear, or transposed (learned). `decoder_zero_skips`: skips start as zero, so that training starts as FCN-32s.
    """

    maps: ClassVar[int]

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
    """No skip: the last map's scores, 32 times larger."""

    maps = 1


class FCN16s(FCN):
    """Skip from the map of stride 16."""

    maps = 2


class FCN8s(FCN):
    """Skips from the maps of strides 16 and 8."""

    maps = 3

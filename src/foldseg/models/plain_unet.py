"""The plain U-Net (Ronneberger et al., 2015, arXiv:1505.04597), padded so that outputs have the size of inputs."""

from collections.abc import Sequence
from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from foldseg.models.encoders import build_double_convolution
from foldseg.models.fcn import UPSAMPLINGS


class PlainBlock(nn.Module):
    """Doubles the size of a map, concatenates the skip connection, convolves twice."""

    def __init__(self, inputs: int, skip: int, outputs: int, upsampling: str, batch_norm: bool) -> None:
        super().__init__()
        enlarged = inputs if upsampling == "bilinear" else inputs // 2
        self.enlarge: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        if upsampling == "transposed":
            self.enlarge = nn.ConvTranspose2d(inputs, enlarged, 2, 2)
        self.convolve = build_double_convolution(enlarged + skip, outputs, batch_norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (N, outputs, 2h, 2w) from x (N, inputs, h, w) and skip (N, skip, 2h, 2w)."""
        decoded: Tensor = self.convolve(torch.cat([self.enlarge(x), skip], 1))
        return decoded


class PlainUnetDecoder(nn.Module):
    """Joins all maps of the encoder from the last to the first, which has stride 1."""

    def __init__(
        self, encoder_channels: Sequence[int], channels: Sequence[int], upsampling: str, batch_norm: bool
    ) -> None:
        super().__init__()
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"decoder_upsampling {upsampling!r}: valid are {', '.join(UPSAMPLINGS)}")
        deepest, *skips = reversed(encoder_channels)
        if len(channels) != len(skips):
            raise ValueError(f"decoder_channels {list(channels)}: {len(skips)} numbers are needed")
        self.blocks = nn.ModuleList(
            PlainBlock(inputs, skip, outputs, upsampling, batch_norm)
            for inputs, skip, outputs in zip([deepest, *channels[:-1]], skips, channels, strict=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (N, channels[-1], H, W) from maps (N, C_i, H / 2^i, W / 2^i) for i from 0."""
        x, *skips = reversed(features)
        for block, skip in zip(self.blocks, skips, strict=True):
            x = block(x, skip)
        return x


class PlainUnet(SegmentationModel):  # type: ignore[misc]
    """The plain U-Net with the constructor of smp's models.

    With the encoder `plain` or `plain_bn` it is the paper's network, without pretrained weights.
    """

    def __init__(
        self,
        encoder_name: str = "plain_bn",
        encoder_depth: int = 4,
        encoder_weights: str | None = None,
        decoder_channels: Sequence[int] = (256, 128, 64, 64),
        decoder_upsampling: str = "bilinear",
        decoder_use_batchnorm: bool = True,
        in_channels: int = 3,
        classes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(
            encoder_name, in_channels=in_channels, depth=encoder_depth, weights=encoder_weights, **kwargs
        )
        self.decoder = PlainUnetDecoder(
            self.encoder.out_channels, decoder_channels, decoder_upsampling, decoder_use_batchnorm
        )
        self.segmentation_head = nn.Conv2d(decoder_channels[-1], classes, 1)
        self.classification_head = None

"""A published U-Net for Cityscapes with transposed convolutions and, on request, residual blocks in the decoder."""

from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional


def _build_conv_norm(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut. Their result is normalised twice, as in the published network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_build_conv_norm(channels), nn.ReLU(inplace=True), *_build_conv_norm(channels), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) from (N, C, H, W)."""
        return functional.relu(x + self.branch(x), inplace=True)


def _build_block(inputs: int, middle: int, outputs: int, residual: bool) -> nn.Sequential:
    """Build layers that convolve and double the size, by 4x4 kernels at stride 2: these leave no checkerboard pattern.

    Odena et al., Deconvolution and Checkerboard Artifacts, distill.pub, 2016.
    """
    enlarge = nn.ConvTranspose2d(middle, outputs, 4, 2, 1)
    after: list[nn.Module] = [Residual(middle), enlarge] if residual else [enlarge, nn.ReLU(inplace=True)]
    return nn.Sequential(nn.Conv2d(inputs, middle, 3, padding=1), nn.ReLU(inplace=True), *after)


class ResidualUnetDecoder(nn.Module):
    """Joins the encoder's maps of strides 4 to 32, and the pooled last map, up to the image's size."""

    def __init__(self, encoder_channels: list[int], filters: int, residual: bool, dropout: float) -> None:
        super().__init__()
        *_, c4, c8, c16, c32 = encoder_channels
        self.dropout = nn.Dropout2d(dropout)
        self.center = _build_block(c32, 16 * filters, 8 * filters, False)
        self.block32 = _build_block(c32 + 8 * filters, 16 * filters, 8 * filters, residual)
        self.block16 = _build_block(c16 + 8 * filters, 16 * filters, 8 * filters, residual)
        self.block8 = _build_block(c8 + 8 * filters, 8 * filters, 2 * filters, residual)
        self.block4 = _build_block(c4 + 2 * filters, 4 * filters, 4 * filters, residual)
        self.block2 = _build_block(4 * filters, 4 * filters, filters, False)
        self.last = nn.Sequential(nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(inplace=True))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (N, filters, H, W) from maps (N, C_i, H / 2^i, W / 2^i) for i from 0 to 5."""
        skips = [self.dropout(features[i]) for i in (5, 4, 3, 2)]
        x = self.center(functional.max_pool2d(skips[0], 2, ceil_mode=True))
        # Where a side is no multiple of 64, the map is longer by one
        x = x[..., : skips[0].shape[2], : skips[0].shape[3]]
        for block, skip in zip((self.block32, self.block16, self.block8, self.block4), skips, strict=True):
            x = block(torch.cat([x, skip], 1))
        decoded: Tensor = self.last(self.block2(self.dropout(x)))
        return decoded


class ResidualUnet(SegmentationModel):  # type: ignore[misc]
    """The network with the constructor of smp's models. `decoder_filters`: 32 as published; others scale its width."""

    def __init__(
        self,
        encoder_name: str = "resnext50_32x4d",
        encoder_weights: str | None = "imagenet",
        decoder_filters: int = 32,
        decoder_residual: bool = True,
        decoder_dropout: float = 0.2,
        in_channels: int = 3,
        classes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights, **kwargs)
        channels = list(self.encoder.out_channels)
        self.decoder = ResidualUnetDecoder(channels, decoder_filters, decoder_residual, decoder_dropout)
        self.segmentation_head = nn.Conv2d(decoder_filters, classes, 1)
        self.classification_head = None

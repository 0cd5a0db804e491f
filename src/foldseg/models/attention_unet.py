"""Attention U-Net (Oktay et al., 2018, arXiv:1804.03999) with smp's encoders."""

from collections.abc import Sequence
from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional


class AttentionGate(nn.Module):
    """Weighs the pixels of a skip connection x by a coarser map g (the paper's equations 1 and 2).

    q = psi(relu(W_x x + W_g g + b_g)) + b_psi on the coarser grid. The result is sigmoid(q), enlarged, times x.
    """

    def __init__(self, skip: int, gating: int) -> None:
        super().__init__()
        middle = max(1, skip // 2)
        self.of_skip = nn.Conv2d(skip, middle, 2, stride=2, bias=False)
        self.of_gating = nn.Conv2d(gating, middle, 1)
        self.psi = nn.Conv2d(middle, 1, 1)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Return (N, C, 2h, 2w) from skip (N, C, 2h, 2w) and gating (N, G, h, w)."""
        combined = functional.relu(self.of_skip(skip) + self.of_gating(gating))
        weight = torch.sigmoid(self.psi(combined))
        return skip * functional.interpolate(weight, size=skip.shape[2:], mode="bilinear", align_corners=False)


class AttentionBlock(nn.Module):
    """Doubles the size of a map, concatenates the gated skip connection, convolves twice."""

    def __init__(self, inputs: int, skip: int, outputs: int, use_norm: Any) -> None:
        super().__init__()
        self.gate = AttentionGate(skip, inputs) if skip else None
        self.conv1 = Conv2dReLU(inputs + skip, outputs, 3, 1, use_norm=use_norm)
        self.conv2 = Conv2dReLU(outputs, outputs, 3, 1, use_norm=use_norm)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Return (N, outputs, 2h, 2w) from x (N, inputs, h, w) and skip (N, skip, 2h, 2w)."""
        larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        if self.gate is not None and skip is not None:
            larger = torch.cat([larger, self.gate(skip, x)], 1)
        decoded: Tensor = self.conv2(self.conv1(larger))
        return decoded


class AttentionUnetDecoder(nn.Module):
    """U-Net's decoder with a gate on every skip connection."""

    def __init__(self, encoder_channels: Sequence[int], channels: Sequence[int], use_norm: Any) -> None:
        super().__init__()
        deepest, *skips = reversed(encoder_channels[1:])
        if len(channels) != len(skips) + 1:
            raise ValueError(f"decoder_channels {list(channels)}: {len(skips) + 1} numbers are needed")
        self.blocks = nn.ModuleList(
            AttentionBlock(inputs, skip, outputs, use_norm)
            for inputs, skip, outputs in zip([deepest, *channels[:-1]], [*skips, 0], channels, strict=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return (N, channels[-1], H, W) from maps (N, C_i, H / 2^i, W / 2^i) for i from 0."""
        x, *skips = reversed(features[1:])
        for block, skip in zip(self.blocks, [*skips, None], strict=True):
            x = block(x, skip)
        return x


class AttentionUnet(SegmentationModel):  # type: ignore[misc]
    """Attention U-Net with the constructor and options of smp's `Unet`."""

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_depth: int = 5,
        encoder_weights: str | None = "imagenet",
        decoder_use_norm: bool | str | dict[str, Any] = "batchnorm",
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        in_channels: int = 3,
        classes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(
            encoder_name, in_channels=in_channels, depth=encoder_depth, weights=encoder_weights, **kwargs
        )
        self.decoder = AttentionUnetDecoder(self.encoder.out_channels, decoder_channels, decoder_use_norm)
        self.segmentation_head = SegmentationHead(decoder_channels[-1], classes, kernel_size=3)
        self.classification_head = None
        self.initialize()

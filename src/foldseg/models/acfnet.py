"""ACFNet, attentional class features (Zhang et al., 2019, arXiv:1909.09408), with smp's encoders."""

from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn


def compute_class_centres(features: Tensor, probabilities: Tensor) -> Tensor:
    """Return each class's mean feature over an image, weighted by the class's probability (the paper's equation 1).

    features (N, C, h, w) and probabilities (N, classes, h, w) in 0..1 -> (N, classes, C) float32.
    """
    weights = probabilities.flatten(2).float()
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1e-6)
    return torch.einsum("nkp,ncp->nkc", weights, features.flatten(2).float())


def compute_class_attention(centres: Tensor, probabilities: Tensor) -> Tensor:
    """Return each pixel's mean of the class centres, weighted by the pixel's probabilities (the paper's equation 2).

    centres (N, classes, C) and probabilities (N, classes, h, w) -> (N, C, h, w).
    """
    return torch.einsum("nkc,nkhw->nchw", centres, probabilities.float())


class ACFDecoder(nn.Module):
    """Computes coarse logits, then class centres, then class features that join the encoder's features."""

    def __init__(self, inputs: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.reduced = Conv2dReLU(inputs, channels, 3, 1)
        self.coarse = nn.Sequential(
            Conv2dReLU(inputs, channels, 3, 1), nn.Dropout2d(dropout), nn.Conv2d(channels, classes, 1)
        )
        self.refined = Conv2dReLU(channels, channels, 1)
        self.fused = Conv2dReLU(2 * channels, channels, 1)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return maps (N, channels, h, w), and coarse logits (N, classes, h, w), which are supervised.

        `features`: the encoder's maps.
        """
        reduced = self.reduced(features[-1])
        coarse = self.coarse(features[-1])
        probabilities = coarse.float().softmax(1)
        centres = compute_class_centres(reduced, probabilities)
        attended = compute_class_attention(centres, probabilities).to(reduced.dtype)
        fused = self.fused(torch.cat([reduced, self.refined(attended)], 1))
        return fused, coarse


class ACFNet(SegmentationModel):  # type: ignore[misc]
    """ACFNet with the constructor of smp's models.

    `encoder_output_stride` is 8 in the paper. Encoders that cannot be dilated need 32.
    """

    def __init__(
        self,
        encoder_name: str = "resnet101",
        encoder_weights: str | None = "imagenet",
        encoder_output_stride: int = 8,
        decoder_channels: int = 512,
        decoder_dropout: float = 0.1,
        in_channels: int = 3,
        classes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(
            encoder_name,
            in_channels=in_channels,
            weights=encoder_weights,
            output_stride=encoder_output_stride,
            **kwargs,
        )
        inputs = self.encoder.out_channels[-1]
        self.decoder = ACFDecoder(inputs, decoder_channels, classes, decoder_dropout)
        self.segmentation_head = SegmentationHead(
            decoder_channels, classes, kernel_size=1, upsampling=encoder_output_stride
        )
        self.classification_head = None
        self.initialize()

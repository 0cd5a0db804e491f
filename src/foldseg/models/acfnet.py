"""ACFNet, attentional class features (Zhang et al. 2019, arXiv:1909.09408), over smp's encoders."""

from typing import Any

import torch
from segmentation_models_pytorch.base import SegmentationHead, SegmentationModel
from segmentation_models_pytorch.base.modules import Conv2dReLU
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn


def class_centres(features: Tensor, probabilities: Tensor) -> Tensor:
    """Mean feature of every class over an image, weighted by its probability; the paper's equation 1.

    (N, C, h, w) and (N, classes, h, w) in 0..1 -> (N, classes, C), in float32.
    """
    weights = probabilities.flatten(2).float()
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1e-6)
    return torch.einsum("nkp,ncp->nkc", weights, features.flatten(2).float())


def class_attention(centres: Tensor, probabilities: Tensor) -> Tensor:
    """Each pixel's mean of the class centres, weighted by the pixel's probabilities; the paper's equation 2.

    (N, classes, C) and (N, classes, h, w) -> (N, C, h, w).
    """
    return torch.einsum("nkc,nkhw->nchw", centres, probabilities.float())


class ACFDecoder(nn.Module):
    """From coarse logits to class centres, to attentional class features beside the encoder's own."""

    def __init__(self, inputs: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.reduced = Conv2dReLU(inputs, channels, 3, 1)
        self.coarse = nn.Sequential(
            Conv2dReLU(inputs, channels, 3, 1), nn.Dropout2d(dropout), nn.Conv2d(channels, classes, 1)
        )
        self.refined = Conv2dReLU(channels, channels, 1)
        self.fused = Conv2dReLU(2 * channels, channels, 1)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The encoder's maps -> (N, channels, h, w), and coarse logits (N, classes, h, w), which are supervised."""
        reduced, coarse = self.reduced(features[-1]), self.coarse(features[-1])
        probabilities = coarse.float().softmax(1)
        attended = class_attention(class_centres(reduced, probabilities), probabilities).to(reduced.dtype)
        return self.fused(torch.cat([reduced, self.refined(attended)], 1)), coarse


class ACFNet(SegmentationModel):  # type: ignore[misc]
    """In smp's call convention. `encoder_output_stride`: 8 as in the paper; encoders that cannot be dilated need 32."""

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

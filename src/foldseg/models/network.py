"""The network that is trained and predicts: normalisation, encoder, decoder and heads; and how to freeze it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldseg.models.network_outputs import NetworkOutputs


class SegmentationNetwork(nn.Module):
    """A network that takes images as they are: (N, channels, H, W) uint8 -> logits (N, classes, H, W).

    `net` is one of smp's models or made like one. Its `encoder` gives a list of maps, from fine to coarse; its
    `decoder` takes them; its `segmentation_head` takes what the decoder gives. A decoder may return a list of maps for
    its head (FCN). It may also return a tuple: what its head takes, then auxiliary logits (ACFNet).

    H and W must be multiples of `stride`. Images are normalised here, on the device. So loaders send a quarter of the
    bytes, and prediction cannot normalise in another way than training.
    """

    mean: Tensor
    scale: Tensor
    title = "the network"
    """Names of architecture and encoder, for messages."""
    encoder_name = ""
    """Name of the encoder in the settings."""

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.empty(1, len(mean), 1, 1))
        self.register_buffer("scale", torch.empty(1, len(std), 1, 1))
        self.set_statistics(mean, std)
        self.dropout = nn.Dropout2d(dropout)
        self.auxiliary_heads = nn.ModuleDict()
        self.presence_head: nn.Module | None = None
        self.encoder_is_frozen = False
        self.batch_norm_is_frozen = False

    def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and the standard deviation of each channel, in 0..1, with which images are normalised."""
        self.mean.copy_(255 * torch.tensor(mean).view(1, -1, 1, 1))
        self.scale.copy_(1 / (255 * torch.tensor(std).view(1, -1, 1, 1)))

    @property
    def channels(self) -> int:
        """The number of channels of the images."""
        return self.mean.shape[1]

    @property
    def encoder(self) -> nn.Module:
        """The part that may have pretrained weights."""
        return self.net.encoder  # type: ignore[return-value]

    @property
    def stride(self) -> int:
        """The number of pixels that both sides of an input must be multiples of."""
        return int(self.encoder.output_stride)  # type: ignore[arg-type]

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the encoder, which may learn at a lower rate."""
        return list(self.encoder.parameters())

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of everything but the encoder."""
        encoder = {id(p) for p in self.encoder_parameters()}
        return [p for p in self.parameters() if id(p) not in encoder]

    def add_auxiliary_heads(self, stages: Sequence[int], classes: int) -> None:
        """Add 1x1 convolutions that supervise some maps of the encoder, too (as PSPNet does, arXiv:1612.01105)."""
        channels: Sequence[int] = self.encoder.out_channels  # type: ignore[assignment]
        self.auxiliary_heads = nn.ModuleDict({str(i): nn.Conv2d(channels[i], classes, 1) for i in stages})

    def add_presence_head(self, classes: int) -> None:
        """Add a head that says which classes are in the image, from the mean of the encoder's last map."""
        channels: Sequence[int] = self.encoder.out_channels  # type: ignore[assignment]
        self.presence_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of images (N, channels, H, W) uint8."""
        return self._decode(self._encode(images))[0]

    def outputs(self, images: Tensor) -> NetworkOutputs:
        """Return all that training supervises, for images (N, channels, H, W) uint8."""
        encoded = self._encode(images)
        logits, *auxiliary = self._decode(encoded)
        maps = encoded[0] if isinstance(encoded, tuple) else encoded
        for stage, head in self.auxiliary_heads.items():
            auxiliary.append(head(maps[int(stage)]))
        presence = None if self.presence_head is None else self.presence_head(maps[-1])
        return NetworkOutputs(logits, tuple(auxiliary), presence)

    def _encode(self, images: Tensor) -> list[Tensor] | tuple[list[Tensor], list[Tensor]]:
        """Return maps from fine to coarse. DPT's encoder gives a tuple of these and its class tokens."""
        normalised = (images - self.mean) * self.scale
        self.net.check_input_shape(normalised)  # type: ignore[operator]
        encoded: list[Tensor] | tuple[list[Tensor], list[Tensor]] = self.encoder(normalised)
        return encoded

    def _decode(self, encoded: list[Tensor] | tuple[list[Tensor], list[Tensor]]) -> list[Tensor]:
        """Return the logits, then the decoder's auxiliary logits."""
        arguments = encoded if isinstance(encoded, tuple) else (encoded,)
        decoded = self.net.decoder(*arguments)  # type: ignore[operator]
        last, *auxiliary = decoded if isinstance(decoded, tuple) else (decoded,)
        dropped = [self.dropout(part) for part in last] if isinstance(last, list) else self.dropout(last)
        return [self.net.segmentation_head(dropped), *auxiliary]  # type: ignore[operator]

    def train(self, mode: bool = True) -> "SegmentationNetwork":
        """Switch to training or evaluation. Frozen parts stay in evaluation mode, also their running statistics."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        elif self.batch_norm_is_frozen:
            for norm in list_batch_norms(self.encoder):
                norm.eval()
        return self


def list_batch_norms(module: nn.Module) -> list[Any]:
    """Return all norms with running statistics."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def freeze_batch_norms(network: SegmentationNetwork) -> None:
    """Keep the running statistics, scales and shifts of the encoder's batch norms, e.g. for very small batches."""
    network.batch_norm_is_frozen = True
    for norm in list_batch_norms(network.encoder):
        norm.requires_grad_(False)
    network.train(network.training)


def freeze_encoder(network: SegmentationNetwork) -> None:
    """Keep the encoder as it is until `thaw_encoder`, also its running statistics, and also after `.train()`."""
    network.encoder_is_frozen = True
    network.encoder.requires_grad_(False)
    network.train(network.training)


def thaw_encoder(network: SegmentationNetwork) -> None:
    """Let the encoder learn again, except for batch norms that are frozen by themselves."""
    network.encoder_is_frozen = False
    network.encoder.requires_grad_(True)
    if network.batch_norm_is_frozen:
        freeze_batch_norms(network)
    network.train(network.training)

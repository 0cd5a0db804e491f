"""The network that is trained and predicted with: normalisation, encoder, decoder, heads, and what is frozen."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldseg.models.outputs import Outputs


class SegmentationNetwork(nn.Module):
    """A network that takes images as they are: (N, 3, H, W) uint8 -> logits (N, classes, H, W).

    `net` is one of smp's models or made like one: an `encoder` to a list of maps, from fine to coarse, a `decoder`
    of these, and a `segmentation_head`. A decoder may return a list of maps for its head (FCN), and a tuple: what its
    head takes, then auxiliary logits (ACFNet). H and W must be multiples of `stride`. Images are normalised here, on
    the device, so that loaders send a quarter of the bytes and nobody can normalise them another way at prediction
    time.
    """

    mean: Tensor
    scale: Tensor
    title = "the network"  # for messages: its architecture and its encoder
    encoder_name = ""

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(1, 3, 1, 1)))
        self.dropout = nn.Dropout2d(dropout)
        self.auxiliary_heads = nn.ModuleDict()
        self.presence_head: nn.Module | None = None
        self.encoder_is_frozen = False
        self.batch_norm_is_frozen = False

    @property
    def encoder(self) -> nn.Module:
        """The part with, perhaps, pretrained weights."""
        return self.net.encoder  # type: ignore[return-value]

    @property
    def stride(self) -> int:
        """What the sides of an input must be multiples of."""
        return int(self.encoder.output_stride)  # type: ignore[arg-type]

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of the encoder, which may learn at a lower rate."""
        return list(self.encoder.parameters())

    def decoder_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        encoder = {id(p) for p in self.encoder_parameters()}
        return [p for p in self.parameters() if id(p) not in encoder]

    def add_auxiliary_heads(self, stages: Sequence[int], classes: int) -> None:
        """Supervise maps of the encoder too, through a 1x1 convolution each (as PSPNet does, arXiv:1612.01105)."""
        channels: Sequence[int] = self.encoder.out_channels  # type: ignore[assignment]
        self.auxiliary_heads = nn.ModuleDict({str(i): nn.Conv2d(channels[i], classes, 1) for i in stages})

    def add_presence_head(self, classes: int) -> None:
        """Say of each class whether it is anywhere in the image, from the mean of the encoder's last map."""
        channels: Sequence[int] = self.encoder.out_channels  # type: ignore[assignment]
        self.presence_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, classes, H, W) logits."""
        return self._decode(self._encode(images))[0]

    def outputs(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) uint8 -> all that training supervises."""
        encoded = self._encode(images)
        logits, *auxiliary = self._decode(encoded)
        maps = encoded[0] if isinstance(encoded, tuple) else encoded
        auxiliary += [head(maps[int(stage)]) for stage, head in self.auxiliary_heads.items()]
        presence = None if self.presence_head is None else self.presence_head(maps[-1])
        return Outputs(logits, tuple(auxiliary), presence)

    def _encode(self, images: Tensor) -> list[Tensor] | tuple[list[Tensor], list[Tensor]]:
        """Maps from fine to coarse; with DPT's encoder, a tuple of these and of its class tokens."""
        normalised = (images - self.mean) * self.scale
        self.net.check_input_shape(normalised)  # type: ignore[operator]
        encoded: list[Tensor] | tuple[list[Tensor], list[Tensor]] = self.encoder(normalised)
        return encoded

    def _decode(self, encoded: list[Tensor] | tuple[list[Tensor], list[Tensor]]) -> list[Tensor]:
        """Logits, then the decoder's auxiliary logits."""
        decoded = self.net.decoder(*encoded) if isinstance(encoded, tuple) else self.net.decoder(encoded)  # type: ignore[operator]
        last, *auxiliary = decoded if isinstance(decoded, tuple) else (decoded,)
        dropped = [self.dropout(part) for part in last] if isinstance(last, list) else self.dropout(last)
        return [self.net.segmentation_head(dropped), *auxiliary]  # type: ignore[operator]

    def train(self, mode: bool = True) -> "SegmentationNetwork":
        """As every module's, but what is frozen stays in evaluation mode, its running statistics included."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        elif self.batch_norm_is_frozen:
            for norm in batch_norms(self.encoder):
                norm.eval()
        return self


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """All norms with running statistics."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def freeze_batch_norms(network: SegmentationNetwork) -> None:
    """Keep the running statistics, scales and shifts of the encoder's batch norms: for batches of one or two images."""
    network.batch_norm_is_frozen = True
    for norm in batch_norms(network.encoder):
        norm.requires_grad_(False)
    network.train(network.training)


def freeze_encoder(network: SegmentationNetwork) -> None:
    """Keep all of the encoder as it is, running statistics included, until `thaw_encoder`, whatever `.train()` says."""
    network.encoder_is_frozen = True
    network.encoder.requires_grad_(False)
    network.train(network.training)


def thaw_encoder(network: SegmentationNetwork) -> None:
    """Let the encoder learn again; batch norms that are frozen for good stay so."""
    network.encoder_is_frozen = False
    network.encoder.requires_grad_(True)
    if network.batch_norm_is_frozen:
        freeze_batch_norms(network)
    network.train(network.training)

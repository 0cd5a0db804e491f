"""Encoders that smp lacks. They are made like smp's encoders and registered beside them."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import segmentation_models_pytorch as smp
import torchvision
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from foldseg.data.image_statistics import Statistics
from foldseg.models.weights import adapt_first_layer

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class _FixedStride(EncoderMixin, nn.Module):  # type: ignore[misc]
    """What our encoders share. They give maps from fine to coarse. Max-pooling halves the maps, so dilation cannot."""

    def __init__(self, out_channels: list[int], depth: int, output_stride: int) -> None:
        nn.Module.__init__(self)
        if not 1 <= depth < len(out_channels):
            raise ValueError(f"encoder_depth {depth}: should be 1 to {len(out_channels) - 1}")
        self._depth, self._in_channels, self._out_channels, self._output_stride = depth, 3, out_channels, output_stride

    def make_dilated(self, output_stride: int) -> None:
        """Raise ValueError, as smp's VGG does."""
        raise ValueError(
            f"{type(self).__name__} halves its maps by pooling and cannot have output stride {output_stride}"
        )


class InceptionV1(_FixedStride):
    """GoogLeNet (Szegedy et al., 2015, arXiv:1409.4842): torchvision's network without its heads, with its names."""

    def __init__(self, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__([3, 64, 192, 480, 832, 1024], depth, output_stride)
        network = torchvision.models.GoogLeNet(aux_logits=False, init_weights=False)
        for name, part in network.named_children():
            if name not in ("avgpool", "dropout", "fc"):
                self.add_module(name, part)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the image (N, C, H, W) and maps of strides 2 to 32."""
        features = [x]
        for names in _INCEPTION_STAGES[: self._depth]:
            for name in names:
                x = getattr(self, name)(x)
            features.append(x)
        return features


_INCEPTION_STAGES = (
    ("conv1",),
    ("maxpool1", "conv2", "conv3"),
    ("maxpool2", "inception3a", "inception3b"),
    ("maxpool3", "inception4a", "inception4b", "inception4c", "inception4d", "inception4e"),
    ("maxpool4", "inception5a", "inception5b"),
)


def build_double_convolution(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """Build two 3x3 convolutions, each with a ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Plain(_FixedStride):
    """The encoder of the plain U-Net: 64 channels at stride 1, twice as many after every pooling, at most 512."""

    def __init__(self, depth: int = 4, output_stride: int = 32, batch_norm: bool = False) -> None:
        channels = [64, 128, 256, 512, 512, 512]
        super().__init__(channels, depth, output_stride)
        inputs = [3, *channels]
        self.stages = nn.ModuleList(
            build_double_convolution(inputs[i], channels[i], batch_norm) for i in range(depth + 1)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps of strides 1 to 2^depth of images (N, C, H, W)."""
        features = [self.stages[0](x)]
        for stage in list(self.stages)[1:]:
            features.append(stage(nn.functional.max_pool2d(features[-1], 2)))
        return features


class WideBlock(nn.Module):
    """Convolutions with batch norm and ReLU before each, around a shortcut.

    With two `channels` they are 3x3 and 3x3; with three they are 1x1, 3x3 and 1x1.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        layers: list[nn.Module] = []
        widths = pairwise([inputs, *channels])
        for index, ((before, after), kernel) in enumerate(zip(widths, kernels, strict=True)):
            if index:
                layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
            if dropout and index == len(channels) - 1:
                layers.append(nn.Dropout2d(dropout))
            layers.append(nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False))
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.branch = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != channels[-1]:
            self.shortcut = nn.Conv2d(inputs, channels[-1], 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels[-1], H, W) from (N, inputs, H, W)."""
        activated = self.before(x)
        shortcut = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(activated)
        total: Tensor = shortcut + self.branch(activated)
        return total


class WideResNet38(_FixedStride):
    """WideResNet-38 (Wu et al., 2016, arXiv:1611.10080) in TernausNetV2's version (arXiv:1806.00844).

    `structure`: number of blocks in each of the six stages; [3, 3, 6, 3, 1, 1] is the full network. Maps have strides
    1 to 32. The last two stages share stride 32 and have dropout.
    """

    def __init__(
        self, depth: int = 5, output_stride: int = 32, structure: tuple[int, ...] = (1, 1, 1, 3, 1, 1)
    ) -> None:
        super().__init__([64, 128, 256, 512, 1024, 4096], depth, output_stride)
        self.stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        stages, inputs = [], 64
        for blocks, (channels, dropout) in zip(structure, _WIDE_STAGES, strict=True):
            stage = nn.Sequential()
            for _ in range(blocks):
                stage.append(WideBlock(inputs, channels, dropout))
                inputs = channels[-1]
            stages.append(stage)
        last = nn.Sequential(*stages[4], *stages[5])
        self.stages = nn.ModuleList([*stages[:4], last][:depth])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps of strides 1 to 2^depth of images (N, C, H, W)."""
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(nn.functional.max_pool2d(features[-1], 2)))
        return features


_WIDE_STAGES: tuple[tuple[tuple[int, ...], float], ...] = (
    ((128, 128), 0.0),
    ((256, 256), 0.0),
    ((512, 512), 0.0),
    ((512, 1024), 0.0),
    ((512, 1024, 2048), 0.3),
    ((1024, 2048, 4096), 0.5),
)


@dataclass(frozen=True)
class EncoderDefinition:
    """How one of our encoders is built, and which weights there are for it."""

    kind: type[nn.Module]
    """A class with smp's `out_channels`, `output_stride` and list of maps."""
    options: dict[str, Any] = field(default_factory=dict)
    """What its constructor is given, besides what smp gives to all encoders."""
    imagenet_weights: WeightsEnum | None = None
    """torchvision's weights for `encoder_weights: imagenet`, if there are some."""
    statistics: Statistics = IMAGENET
    """Statistics of the images that its weights were trained on."""


ENCODERS: dict[str, EncoderDefinition] = {
    "inception_v1": EncoderDefinition(
        InceptionV1, imagenet_weights=torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1, statistics=HALF
    ),
    "plain": EncoderDefinition(Plain),
    "plain_bn": EncoderDefinition(Plain, {"batch_norm": True}),
    "wide_resnet38": EncoderDefinition(WideResNet38, {"structure": (3, 3, 6, 3, 1, 1)}),
    "wide_resnet38_shrunk": EncoderDefinition(WideResNet38),
}


def get_timm_name(encoder: str) -> str | None:
    """Return timm's name of an encoder that settings call `tu-NAME`; None for all other encoders."""
    return encoder.removeprefix("tu-") if encoder.startswith("tu-") else None


def register_encoders() -> None:
    """Register our encoders with smp, by name. MobileNet-v1 is among timm's: `tu-mobilenetv1_100`."""
    for name, encoder in ENCODERS.items():
        smp.encoders.encoders[name] = {"encoder": encoder.kind, "pretrained_settings": {}, "params": encoder.options}


def load_imagenet_weights(encoder: nn.Module, name: str) -> None:
    """Download and load the ImageNet weights of one of our encoders. ValueError if there are none."""
    weights = ENCODERS[name].imagenet_weights
    if weights is None:
        raise ValueError(f"{name} has no imagenet weights; give encoder_weights a local file or null")
    state = weights.get_state_dict(progress=False, check_hash=True)
    names = encoder.state_dict().keys()
    tensors = {name: value for name, value in state.items() if name in names}
    encoder.load_state_dict(adapt_first_layer(tensors, encoder))

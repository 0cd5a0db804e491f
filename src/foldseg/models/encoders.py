"""Encoders that smp lacks, made like smp's and registered beside them."""

from typing import Any

import segmentation_models_pytorch as smp
import torchvision
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import Tensor, nn


class _FixedStride(EncoderMixin, nn.Module):  # type: ignore[misc]
    """What ours share: maps from fine to coarse; max-pooling halves them, so they cannot be dilated."""

    def __init__(self, out_channels: list[int], depth: int, output_stride: int) -> None:
        nn.Module.__init__(self)
        if not 1 <= depth < len(out_channels):
            raise ValueError(f"encoder_depth {depth}: should be 1 to {len(out_channels) - 1}")
        self._depth, self._in_channels, self._out_channels, self._output_stride = depth, 3, out_channels, output_stride

    def make_dilated(self, output_stride: int) -> None:
        """Refuse, as smp's VGG does."""
        raise ValueError(
            f"{type(self).__name__} halves its maps by pooling and cannot have output stride {output_stride}"
        )


class InceptionV1(_FixedStride):
    """GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842): torchvision's, with its names, without heads."""

    def __init__(self, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__([3, 64, 192, 480, 832, 1024], depth, output_stride)
        whole = torchvision.models.GoogLeNet(aux_logits=False, init_weights=False)
        for name, part in whole.named_children():
            if name not in ("avgpool", "dropout", "fc"):
                self.add_module(name, part)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> the image and maps of strides 2 to 32."""
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


def double_convolution(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """Two 3x3 convolutions, each with a ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Plain(_FixedStride):
    """The plain U-Net's way down: 64 channels at stride 1, twice as many after every pooling, at most 512."""

    def __init__(self, depth: int = 4, output_stride: int = 32, batch_norm: bool = False) -> None:
        channels = [64, 128, 256, 512, 512, 512]
        super().__init__(channels, depth, output_stride)
        inputs = [3, *channels]
        self.stages = nn.ModuleList(double_convolution(inputs[i], channels[i], batch_norm) for i in range(depth + 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> maps of strides 1 to 2^depth."""
        features = [self.stages[0](x)]
        for stage in list(self.stages)[1:]:
            features.append(stage(nn.functional.max_pool2d(features[-1], 2)))
        return features


class WideBlock(nn.Module):
    """Batch norm and ReLU before each convolution: two of 3x3, or with three `channels` 1x1, 3x3 and 1x1."""

    def __init__(self, inputs: int, channels: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        layers: list[nn.Module] = []
        for index, (given, made, kernel) in enumerate(zip([inputs, *channels], channels, kernels, strict=False)):
            if index:
                layers += [nn.BatchNorm2d(given), nn.ReLU(inplace=True)]
            if dropout and index == len(channels) - 1:
                layers.append(nn.Dropout2d(dropout))
            layers.append(nn.Conv2d(given, made, kernel, padding=kernel // 2, bias=False))
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.branch = nn.Sequential(*layers)
        same = inputs == channels[-1]
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, channels[-1], 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels[-1], H, W)."""
        ready = self.before(x)
        shortcut = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(ready)
        total: Tensor = shortcut + self.branch(ready)
        return total


class WideResNet38(_FixedStride):
    """WideResNet-38 (Wu et al. 2016, arXiv:1611.10080) as TernausNetV2 has it (arXiv:1806.00844), shrunk on request.

    `structure`: blocks in each of the six stages; [3, 3, 6, 3, 1, 1] is the whole network. Maps of strides 1 to 32;
    the last two stages share stride 32 and have dropout.
    """

    def __init__(
        self, depth: int = 5, output_stride: int = 32, structure: tuple[int, ...] = (1, 1, 1, 3, 1, 1)
    ) -> None:
        super().__init__([64, 128, 256, 512, 1024, 4096], depth, output_stride)
        self.stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        stages, inputs = [], 64
        for blocks, (channels, dropout) in zip(structure, _WIDE_STAGES, strict=True):
            stages.append(
                nn.Sequential(
                    *(WideBlock(inputs if i == 0 else channels[-1], channels, dropout) for i in range(blocks))
                )
            )
            inputs = channels[-1]
        last = nn.Sequential(*stages[4], *stages[5])
        self.stages = nn.ModuleList([*stages[:4], last][:depth])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> maps of strides 1 to 2^depth."""
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

ENCODERS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "inception_v1": (InceptionV1, {}),
    "plain": (Plain, {}),
    "plain_bn": (Plain, {"batch_norm": True}),
    "wide_resnet38": (WideResNet38, {"structure": (3, 3, 6, 3, 1, 1)}),
    "wide_resnet38_shrunk": (WideResNet38, {}),
}
"""To add an encoder: a class with smp's `out_channels`, `output_stride` and list of maps, and a line here."""


def register_encoders() -> None:
    """Make smp know our encoders by name. MobileNet-v1 is timm's: `tu-mobilenetv1_100`."""
    for name, (kind, params) in ENCODERS.items():
        smp.encoders.encoders[name] = {"encoder": kind, "pretrained_settings": {}, "params": params}


def load_torchvision_weights(encoder: nn.Module, name: str) -> None:
    """Download and load the ImageNet weights of an encoder of ours. ValueError when there are none."""
    if name != "inception_v1":
        raise ValueError(f"{name} has no imagenet weights; give encoder_weights a local file or null")
    state = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    names = encoder.state_dict().keys()
    encoder.load_state_dict({name: value for name, value in state.items() if name in names})

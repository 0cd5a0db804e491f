"""Networks by name: segmentation-models-pytorch's, wrapped so that they take images as they are."""

import difflib
import inspect
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from foldseg.config.schema import Model, PredictView, TilesView
from foldseg.errors import FoldsegError
from foldseg.models.weights import load_encoder_weights

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# smp asks its hub for these at run time, even offline; encoders that are not listed were trained with ImageNet's
_TRAINED_WITH_HALF = ("timm-tf_efficientnet_lite", "inceptionresnetv2", "inceptionv4", "xception")

_SET_BY_US = {"self", "encoder_name", "encoder_weights", "classes", "in_channels", "aux_params", "kwargs"}

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = dict(smp.MODEL_ARCHITECTURES_MAPPING)
"""To add a decoder: a class with smp's signature and `encoder` attribute, and a line here."""


class SegmentationNetwork(nn.Module):
    """A network that takes images as they are: (N, 3, H, W) uint8 -> logits (N, classes, H, W).

    H and W must be multiples of `stride`. Images are normalised here, on the device, so that loaders send a quarter
    of the bytes and nobody can normalise them another way at prediction time.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(1, 3, 1, 1)))

    @property
    def stride(self) -> int:
        """What the sides of an input must be multiples of."""
        return int(self.net.encoder.output_stride)  # type: ignore[arg-type, union-attr]

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of the encoder, which may learn at a lower rate."""
        return list(self.net.encoder.parameters())  # type: ignore[union-attr]

    def decoder_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        encoder = {id(p) for p in self.encoder_parameters()}
        return [p for p in self.parameters() if id(p) not in encoder]

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, classes, H, W) logits."""
        logits: Tensor = self.net((images - self.mean) * self.scale)
        return logits


def build_network(model: Model, classes: int, *, pretrained: bool = True) -> SegmentationNetwork:
    """Build the network of a configuration.

    With `pretrained=False` the encoder's weights are neither downloaded nor read: a checkpoint follows.
    FoldsegError for unknown names, options that the architecture does not know, and weights that do not fit.
    """
    check_model(model if pretrained else model.model_copy(update={"encoder_weights": None}))
    _check_options(model)
    from_hub = pretrained and model.encoder_weights == "imagenet"
    try:
        net = ARCHITECTURES[model.architecture](
            encoder_name=model.encoder,
            encoder_weights="imagenet" if from_hub and not model.encoder.startswith("tu-") else from_hub or None,
            classes=classes,
            **model.options,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise FoldsegError(f"model: {model.architecture} with {model.encoder} cannot be built: {error}") from error
    except Exception as error:
        if not from_hub:
            raise
        raise FoldsegError(
            f"model.encoder_weights: the imagenet weights of {model.encoder} could not be downloaded "
            f"({type(error).__name__}); without internet give a local file or null"
        ) from error
    if pretrained and model.encoder_weights not in (None, "imagenet"):
        load_encoder_weights(net.encoder, Path(str(model.encoder_weights)))  # type: ignore[arg-type]
    return SegmentationNetwork(net, *_statistics(model.encoder))


def check_model(model: Model) -> None:
    """FoldsegError when a name is unknown or the file of weights is missing; nothing is built."""
    _check_name("model.architecture", model.architecture, list(ARCHITECTURES))
    if model.encoder.startswith("tu-"):
        _check_name("model.encoder", model.encoder, [f"tu-{name}" for name in timm.list_models()])
    else:
        _check_name("model.encoder", model.encoder, smp.encoders.get_encoder_names())
    weights = model.encoder_weights
    if weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise FoldsegError(f"model.encoder_weights: {weights}: no such file; valid are imagenet, null or a file")


def _check_options(model: Model) -> None:
    """smp passes options that it does not know on to the encoder, and most encoders swallow them in silence."""
    if model.encoder.startswith("tu-"):
        return  # timm's take options of their own, and refuse those that they do not know
    valid = set(inspect.signature(ARCHITECTURES[model.architecture]).parameters) - _SET_BY_US
    for option in model.options:
        if option not in valid:
            near = difflib.get_close_matches(option, valid, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise FoldsegError(
                f"model.options.{option}: {model.architecture} has no such option; "
                f"{hint}valid are {', '.join(sorted(valid))}"
            )


def check_device(device: str, precision: str = "fp32") -> None:
    """FoldsegError when a GPU is asked for, or needed, and there is none."""
    if torch.cuda.is_available():
        return
    if device == "gpu":
        raise FoldsegError("device: gpu was asked for and none is found; use device=auto or device=cpu")
    if precision == "fp16":
        raise FoldsegError("precision: fp16 needs a GPU and none is found; use precision=fp32 or precision=bf16")


def check_view(view: PredictView, stride: int) -> None:
    """FoldsegError when tiles are of a size that the network cannot take."""
    if isinstance(view, TilesView) and any(side % stride for side in view.size):
        raise FoldsegError(f"view.predict.size: {list(view.size)} should be multiples of {stride} for this network")


def _check_name(key: str, name: str, valid: list[str]) -> None:
    if name in valid:
        return
    near = difflib.get_close_matches(name, valid, 5, 0.5)
    choices = ", ".join(valid if len(valid) < 30 else near or [*valid[:10], "..."])
    raise FoldsegError(f"{key}: unknown name {name!r}; valid are {choices}")


def _statistics(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in 0..1, of the images that an encoder's weights were trained on."""
    if encoder.startswith("tu-"):
        config = timm.get_pretrained_cfg(encoder.removeprefix("tu-"), allow_unregistered=True)
        if config is not None:
            return tuple(config.mean), tuple(config.std)
    return HALF if encoder.startswith(_TRAINED_WITH_HALF) else IMAGENET

"""Builds the network that a configuration names: one of segmentation-models-pytorch, or one that it lacks."""

import difflib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
from torch import nn

from foldseg.config.schema import Model, PredictView
from foldseg.config.schema.definitions import NORM_DEFINITIONS, define_architecture
from foldseg.data.image_statistics import Statistics
from foldseg.errors import FoldsegError
from foldseg.models.acfnet import ACFNet
from foldseg.models.attention_unet import AttentionUnet
from foldseg.models.checkpointing import checkpoint_blocks
from foldseg.models.device import choose_device
from foldseg.models.encoders import (
    ENCODERS,
    HALF,
    IMAGENET,
    get_timm_name,
    load_imagenet_weights,
    register_encoders,
)
from foldseg.models.fcn import FCN8s, FCN16s, FCN32s
from foldseg.models.network import SegmentationNetwork, freeze_batch_norms
from foldseg.models.norms import exchange_norms
from foldseg.models.plain_unet import PlainUnet
from foldseg.models.residual_unet import ResidualUnet
from foldseg.models.weights import check_start, load_encoder_weights, start_from

_HALF_PREFIXES = ("timm-tf_efficientnet_lite", "inceptionresnetv2", "inceptionv4", "xception")
"""Beginnings of the names of smp's encoders whose weights were trained with the statistics `HALF`.

smp asks its hub for that at run time, even offline. All other encoders of smp were trained with ImageNet's statistics.
"""

_SET_BY_US = {"self", "encoder_name", "encoder_weights", "classes", "in_channels", "aux_params", "activation", "kwargs"}
"""Parameters of decoders that are no `model.options`."""

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    **smp.MODEL_ARCHITECTURES_MAPPING,
    "fcn32s": FCN32s,
    "fcn16s": FCN16s,
    "fcn8s": FCN8s,
    "residual_unet": ResidualUnet,
    "attention_unet": AttentionUnet,
    "acfnet": ACFNet,
    "plain_unet": PlainUnet,
}
"""Decoders: classes with smp's signature and an `encoder`, a `decoder` and a `segmentation_head`."""

register_encoders()


def build_network(
    model: Model,
    classes: int,
    *,
    channels: int = 3,
    statistics: Statistics | None = None,
    pretrained: bool = True,
) -> SegmentationNetwork:
    """Build the network of a configuration. `model.start_from` must be a file here.

    `channels`: those of the images. Pretrained weights of the first layer are adapted to them. `statistics`: the mean
    and the standard deviation of each channel, in 0..1; None: those that the encoder's weights were trained with.

    With `pretrained=False` no weights are downloaded or read, because a checkpoint follows. With `start_from` none are
    downloaded either: its encoder's weights take their place. FoldsegError for unknown names, for options that the
    architecture does not know, and for weights that do not fit.
    """
    if not pretrained:
        model = model.model_copy(update={"encoder_weights": None, "start_from": None})
    check_model(model)
    _check_options(model)
    encoder_weights = model.encoder_weights if model.start_from is None else None
    net = _build_net(model, classes, channels, from_hub=encoder_weights == "imagenet")
    exchange_norms(net, model.norm)
    if encoder_weights not in (None, "imagenet"):
        new_parameters = NORM_DEFINITIONS[model.norm].new_parameters
        load_encoder_weights(net.encoder, Path(str(encoder_weights)), optional=new_parameters)  # type: ignore[arg-type]
    if model.gradient_checkpointing:
        checkpoint_blocks(net.encoder, model.encoder)  # type: ignore[arg-type]
    network = SegmentationNetwork(net, *(statistics or _find_statistics(model.encoder, channels)), model.dropout)
    network.title, network.encoder_name = f"{model.architecture} with {model.encoder}", model.encoder
    if model.deep_supervision:
        network.add_auxiliary_heads(_choose_supervised_stages(network, model), classes)
    if model.presence_head:
        network.add_presence_head(classes)
    if model.freeze_batch_norm:
        freeze_batch_norms(network)
    if model.start_from is not None:
        start_from(network, model.start_from)
        if statistics is not None:
            network.set_statistics(*statistics)
    return network


def _build_net(model: Model, classes: int, channels: int, *, from_hub: bool) -> nn.Module:
    """Build the bare network. With `from_hub`, its encoder gets downloaded ImageNet weights."""
    is_our_encoder = model.encoder in ENCODERS
    encoder_weights: str | bool | None = None
    if from_hub and not is_our_encoder:
        encoder_weights = "imagenet" if get_timm_name(model.encoder) is None else True
    try:
        net = ARCHITECTURES[model.architecture](
            encoder_name=model.encoder,
            encoder_weights=encoder_weights,
            classes=classes,
            in_channels=channels,
            **model.options,
        )
        if from_hub and is_our_encoder:
            load_imagenet_weights(net.encoder, model.encoder)  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        timm_name = get_timm_name(model.encoder)
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] in model.options and timm_name is not None:
            valid = _list_architecture_options(model) | _list_timm_options(timm_name)
            raise _unknown_option_error(model, unknown[1], valid) from error
        raise FoldsegError(f"model: {model.architecture} with {model.encoder} cannot be built: {error}") from error
    except Exception as error:
        if not from_hub:
            raise
        raise FoldsegError(
            f"model.encoder_weights: the imagenet weights of {model.encoder} could not be downloaded "
            f"({type(error).__name__}); without internet give a local file or null"
        ) from error
    return net


def _choose_supervised_stages(network: SegmentationNetwork, model: Model) -> list[int]:
    """Return the indices of the encoder's maps of stride 8 and 16, or of the one that exists."""
    maps = len(network.encoder.out_channels)  # type: ignore[arg-type]
    stages = [stage for stage in (3, 4) if stage < maps]
    if not stages or not define_architecture(model.architecture).has_pyramid:
        raise FoldsegError(
            f"model.deep_supervision: {model.architecture} with {model.encoder} has no maps of stride 8 or 16"
        )
    return stages


def check_model(model: Model) -> None:
    """Raise FoldsegError if a name is unknown or a file of weights is missing. Nothing is built."""
    _check_name("model.architecture", model.architecture, list(ARCHITECTURES))
    if get_timm_name(model.encoder) is not None:
        encoders = [f"tu-{name}" for name in timm.list_models()]
    else:
        encoders = smp.encoders.get_encoder_names()
    _check_name("model.encoder", model.encoder, encoders)
    weights = model.encoder_weights
    if model.start_from is not None:
        check_start(model.start_from)
    elif weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise FoldsegError(f"model.encoder_weights: {weights}: no such file; valid are imagenet, null or a file")


def _check_options(model: Model) -> None:
    """Raise FoldsegError for an option that neither decoder nor encoder knows.

    smp passes options that it does not know on to the encoder, and most encoders ignore them silently. Encoders of timm
    have options of their own, and refuse those that they do not know.
    """
    if model.options.get("activation") is not None:
        raise FoldsegError(
            f"model.options.activation: {model.options['activation']} would be applied before the softmax of losses "
            "and predictions, which take a network's outputs for logits; remove it"
        )
    if get_timm_name(model.encoder) is not None:
        return
    valid = _list_architecture_options(model)
    for option in model.options:
        if option not in valid:
            raise _unknown_option_error(model, option, valid)


def _list_architecture_options(model: Model) -> set[str]:
    return set(inspect.signature(ARCHITECTURES[model.architecture]).parameters) - _SET_BY_US


def _list_timm_options(timm_name: str) -> set[str]:
    """Return the options of one of timm's encoders. The encoder is built for that, which takes a while."""
    encoder_class = type(timm.create_model(timm_name, pretrained=False))
    parameters = set(inspect.signature(encoder_class).parameters)
    return parameters - {"in_chans", "num_classes", "args", "kwargs", "global_pool"}


def _unknown_option_error(model: Model, option: str, valid: set[str]) -> FoldsegError:
    matches = difflib.get_close_matches(option, valid, 1)
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return FoldsegError(
        f"model.options.{option}: {model.architecture} with {model.encoder} has no such option; "
        f"{hint}valid are {', '.join(sorted(valid))}"
    )


def check_norm(norm: str, device: str, devices: int) -> None:
    """Raise FoldsegError if processes are to share the norm's statistics on the CPU: torch does that on GPUs only."""
    if NORM_DEFINITIONS[norm].shares_statistics and devices > 1 and choose_device(device).type == "cpu":
        raise FoldsegError(
            f"model.norm: {norm} works on GPUs only, and {devices} processes are to train on the CPU; use "
            "model.norm=group, model.norm=batch (each process has its own statistics) or devices=1"
        )


def check_view(view: PredictView, stride: int) -> None:
    """Raise FoldsegError if tiles have a size that the network cannot take."""
    if view.tiles is not None and any(side % stride for side in view.tiles.size):
        size = list(view.tiles.size)
        raise FoldsegError(f"view.predict.size: {size} should be multiples of {stride} for this network")


def _check_name(key: str, name: str, valid: list[str]) -> None:
    if name in valid:
        return
    choices = valid
    if len(valid) >= 30:
        choices = difflib.get_close_matches(name, valid, 5, 0.5) or [*valid[:10], "..."]
    raise FoldsegError(f"{key}: unknown name {name!r}; valid are {', '.join(choices)}")


def _find_statistics(encoder: str, channels: int) -> Statistics:
    """Return the statistics of the images that an encoder's weights were trained on.

    They have three channels. For other images, 0.5 takes their place, until the data's statistics are known.
    """
    if channels != 3:
        return (0.5,) * channels, (0.5,) * channels
    if encoder in ENCODERS:
        return ENCODERS[encoder].statistics
    timm_name = get_timm_name(encoder)
    if timm_name is not None:
        config = timm.get_pretrained_cfg(timm_name, allow_unregistered=True)
        if config is not None:
            return tuple(config.mean), tuple(config.std)
    return HALF if encoder.startswith(_HALF_PREFIXES) else IMAGENET

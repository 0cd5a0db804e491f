"""Networks by name: segmentation-models-pytorch's and those that it lacks, built as a configuration says."""

import difflib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
from torch import nn

from foldseg.config.schema import Model, PredictView
from foldseg.errors import FoldsegError
from foldseg.models.acfnet import ACFNet
from foldseg.models.attention_unet import AttentionUnet
from foldseg.models.checkpointing import checkpoint_blocks
from foldseg.models.device import choose_device
from foldseg.models.encoders import ENCODERS, load_torchvision_weights, register_encoders
from foldseg.models.fcn import FCN8s, FCN16s, FCN32s
from foldseg.models.network import SegmentationNetwork as SegmentationNetwork
from foldseg.models.network import freeze_batch_norms
from foldseg.models.norms import exchange_norms
from foldseg.models.plain_unet import PlainUnet
from foldseg.models.residual_unet import ResidualUnet
from foldseg.models.weights import checkpoint_of, load_encoder_weights, start_from

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# smp asks its hub for these at run time, even offline; encoders that are not listed were trained with ImageNet's
_TRAINED_WITH_HALF = ("timm-tf_efficientnet_lite", "inceptionresnetv2", "inceptionv4", "inception_v1", "xception")

_SET_BY_US = {"self", "encoder_name", "encoder_weights", "classes", "in_channels", "aux_params", "activation", "kwargs"}

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
"""To add a decoder: a class with smp's signature and `encoder` attribute, and a line here."""

register_encoders()


def build_network(model: Model, classes: int, *, pretrained: bool = True) -> SegmentationNetwork:
    """Build the network of a configuration.

    With `pretrained=False` no weights are downloaded or read: a checkpoint follows. With `start_from` none are
    downloaded either: its encoder's take their place. FoldsegError for unknown names, options that the architecture
    does not know, and weights that do not fit.
    """
    weights = model.encoder_weights if pretrained and model.start_from is None else None
    check_model(model if pretrained else model.model_copy(update={"encoder_weights": None, "start_from": None}))
    _check_options(model)
    net = _build(model, classes, weights == "imagenet")
    exchange_norms(net, model.norm)
    if weights not in (None, "imagenet"):
        load_encoder_weights(net.encoder, Path(str(weights)), optional=(".v",) if model.norm == "evonorm" else ())  # type: ignore[arg-type]
    if model.gradient_checkpointing:
        checkpoint_blocks(net.encoder, model.encoder)  # type: ignore[arg-type]
    network = SegmentationNetwork(net, *_statistics(model.encoder), model.dropout)
    network.title, network.encoder_name = f"{model.architecture} with {model.encoder}", model.encoder
    if model.deep_supervision:
        network.add_auxiliary_heads(_supervised_stages(network, model), classes)
    if model.presence_head:
        network.add_presence_head(classes)
    if model.freeze_batch_norm:
        freeze_batch_norms(network)
    if pretrained and model.start_from is not None:
        start_from(network, model.start_from)
    return network


def _build(model: Model, classes: int, from_hub: bool) -> nn.Module:
    """Build the bare network, with downloaded weights in its encoder on request."""
    ours = from_hub and model.encoder in ENCODERS
    try:
        net = ARCHITECTURES[model.architecture](
            encoder_name=model.encoder,
            encoder_weights=None if not from_hub or ours else True if model.encoder.startswith("tu-") else "imagenet",
            classes=classes,
            **model.options,
        )
        if ours:
            load_torchvision_weights(net.encoder, model.encoder)  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] in model.options and model.encoder.startswith("tu-"):
            valid = _architecture_options(model) | _timm_options(model.encoder)
            raise _unknown_option(model, unknown[1], valid) from error
        raise FoldsegError(f"model: {model.architecture} with {model.encoder} cannot be built: {error}") from error
    except Exception as error:
        if not from_hub:
            raise
        raise FoldsegError(
            f"model.encoder_weights: the imagenet weights of {model.encoder} could not be downloaded "
            f"({type(error).__name__}); without internet give a local file or null"
        ) from error
    return net


def _supervised_stages(network: SegmentationNetwork, model: Model) -> list[int]:
    """Indices of the encoder's maps of stride 8 and 16, or of what there is of them."""
    maps = len(network.encoder.out_channels)  # type: ignore[arg-type]
    stages = [stage for stage in (3, 4) if stage < maps]
    if model.architecture == "dpt" or not stages:
        raise FoldsegError(
            f"model.deep_supervision: {model.architecture} with {model.encoder} has no maps of stride 8 or 16"
        )
    return stages


def check_model(model: Model) -> None:
    """FoldsegError when a name is unknown or the file of weights is missing; nothing is built."""
    _check_name("model.architecture", model.architecture, list(ARCHITECTURES))
    if model.encoder.startswith("tu-"):
        _check_name("model.encoder", model.encoder, [f"tu-{name}" for name in timm.list_models()])
    else:
        _check_name("model.encoder", model.encoder, smp.encoders.get_encoder_names())
    weights = model.encoder_weights
    if model.start_from is not None:
        checkpoint_of(model.start_from)
    elif weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise FoldsegError(f"model.encoder_weights: {weights}: no such file; valid are imagenet, null or a file")


def _check_options(model: Model) -> None:
    """smp passes options that it does not know on to the encoder, and most encoders swallow them in silence."""
    if model.options.get("activation") is not None:
        raise FoldsegError(
            f"model.options.activation: {model.options['activation']} would be applied before the softmax of losses "
            "and predictions, which take a network's outputs for logits; remove it"
        )
    if model.encoder.startswith("tu-"):
        return  # timm's take options of their own, and refuse those that they do not know
    valid = _architecture_options(model)
    for option in model.options:
        if option not in valid:
            raise _unknown_option(model, option, valid)


def _architecture_options(model: Model) -> set[str]:
    return set(inspect.signature(ARCHITECTURES[model.architecture]).parameters) - _SET_BY_US


def _unknown_option(model: Model, option: str, valid: set[str]) -> FoldsegError:
    near = difflib.get_close_matches(option, valid, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return FoldsegError(
        f"model.options.{option}: {model.architecture} with {model.encoder} has no such option; "
        f"{hint}valid are {', '.join(sorted(valid))}"
    )


def _timm_options(encoder: str) -> set[str]:
    """Return the options of one of timm's encoders; it is built for that, so ask only when something is wrong."""
    kind = type(timm.create_model(encoder.removeprefix("tu-"), pretrained=False))
    return set(inspect.signature(kind).parameters) - {"in_chans", "num_classes", "args", "kwargs", "global_pool"}


def check_norm(norm: str, device: str, devices: int) -> None:
    """FoldsegError when the norm is one over several processes that torch has on GPUs only."""
    if norm == "sync" and devices > 1 and choose_device(device).type == "cpu":
        raise FoldsegError(
            f"model.norm: sync works on GPUs only, and {devices} processes are to train on the CPU; use "
            "model.norm=group, model.norm=batch (each process has its own statistics) or devices=1"
        )


def check_view(view: PredictView, stride: int) -> None:
    """FoldsegError when tiles are of a size that the network cannot take."""
    if view.tiles is not None and any(side % stride for side in view.tiles.size):
        size = list(view.tiles.size)
        raise FoldsegError(f"view.predict.size: {size} should be multiples of {stride} for this network")


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

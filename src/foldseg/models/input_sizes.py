"""Finds out before training which inputs a network takes, and explains why it does not take one."""

from collections.abc import Iterator
from contextlib import contextmanager

import timm
import torch
from torch import Tensor
from torch.func import functional_call

from foldseg.errors import FoldsegError
from foldseg.models.encoders import get_timm_name
from foldseg.models.network import SegmentationNetwork
from foldseg.resources import explain_resources

_LARGEST = 2048
"""Pixels on a side. The smallest size that a network takes is looked for up to this one."""


def check_input(network: SegmentationNetwork, size: tuple[int, int], batch: int, *, training: bool, key: str) -> None:
    """Raise FoldsegError, which begins with `key`, if the network cannot take `batch` images of `size` (height, width).

    This takes little time, because only shapes are computed. If that fails, the images are really computed, and only an
    error of that counts.
    """
    if _find_refusal(network, size, batch, training, "meta") is None:
        return
    reason = _find_refusal(network, size, batch, training, "cpu")
    if reason is not None:
        raise FoldsegError(f"{key}: {_explain(network, size, batch, reason)}")


@contextmanager
def explained_forward(network: SegmentationNetwork, images: Tensor) -> Iterator[None]:
    """Turn an error inside of the block, where a network computes images (N, C, H, W), into a FoldsegError.

    It names network and images. Errors about memory and other resources are left to
    `resources.explain_resource_errors`.
    """
    try:
        yield
    except FoldsegError:
        raise
    except Exception as error:
        if explain_resources(error, "") is not None:
            raise
        size = images.shape[-2], images.shape[-1]
        raise FoldsegError(_explain(network, size, len(images), _describe(error))) from error


def _find_refusal(
    network: SegmentationNetwork, size: tuple[int, int], batch: int, training: bool, device: str
) -> str | None:
    """Return why the network cannot take such images, None if it can. The network stays as it is.

    Errors that come from this machine (no memory, no kernel for this device) do not count.
    """
    was_training = network.training
    network.train(training)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    copies = {name: tensor.detach().to(device, copy=True) for name, tensor in tensors.items()}
    images = torch.zeros(batch, network.channels, *size, dtype=torch.uint8, device=device)
    try:
        with torch.no_grad():
            functional_call(network, copies, (images,))
    except Exception as error:
        is_of_machine = explain_resources(error, "") is not None or isinstance(error, NotImplementedError)
        return None if is_of_machine else _describe(error)
    finally:
        network.train(was_training)
    return None


def _explain(network: SegmentationNetwork, size: tuple[int, int], batch: int, reason: str) -> str:
    what = f"{batch} image{'s' if batch > 1 else ''} of {size[1]}x{size[0]} (width x height)"
    return f"model: {network.title} cannot take {what}: {reason}. {_advise(network, size, reason)}"


def _advise(network: SegmentationNetwork, size: tuple[int, int], reason: str) -> str:
    if "more than 1 value per channel" in reason:
        return (
            "Batch norm wants more than one value of a channel: use batch_size=2 or more (for each device), or "
            "model.norm=group"
        )
    fixed = _find_fixed_size(network.encoder_name)
    if fixed is not None:
        return (
            f"The encoder is made for {fixed[1]}x{fixed[0]}: use crops and tiles of {list(fixed)} "
            f"(view.train={{kind: crop, size: {list(fixed)}}} view.predict={{kind: tiles, size: {list(fixed)}}}), or "
            f"build it for another size (model.options.img_size={list(size)})"
        )
    smallest = _find_smallest_square(network)
    if smallest is not None and (smallest > size[0] or smallest > size[1]):
        return f"It takes {smallest}x{smallest} and more: use larger crops, or another architecture"
    return "Use another view.train or view.predict, another architecture, or other model.options"


def _find_fixed_size(encoder: str) -> tuple[int, int] | None:
    """Return the only (height, width) that an encoder takes, if there is one. Some encoders of timm have one."""
    timm_name = get_timm_name(encoder)
    if timm_name is None:
        return None
    config = timm.get_pretrained_cfg(timm_name, allow_unregistered=True)
    if config is None or not config.fixed_input_size:
        return None
    return config.input_size[1], config.input_size[2]


def _find_smallest_square(network: SegmentationNetwork) -> int | None:
    """Return the side of the smallest square that the network takes, of strides times powers of two; None if none."""
    side = network.stride
    while side <= _LARGEST:
        if _find_refusal(network, (side, side), 2, True, "meta") is None:
            return side
        side *= 2
    return None


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".rstrip(". ")

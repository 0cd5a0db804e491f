"""Which inputs a network takes: found out before training, and explained where one is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import timm
import torch
from torch import Tensor
from torch.func import functional_call

from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.resources import explain_resources

_LARGEST = 2048  # pixels on a side; the smallest size that a network takes is looked for up to here


def check_input(network: SegmentationNetwork, size: tuple[int, int], batch: int, *, training: bool, key: str) -> None:
    """FoldsegError, beginning with `key`, when the network cannot take `batch` images of `size` (height, width).

    Costs next to nothing: shapes alone are computed. An error of that is believed only if the real pass has it too.
    """
    reason = _refusal(network, size, batch, training, "meta") and _refusal(network, size, batch, training, "cpu")
    if reason is not None:
        raise FoldsegError(f"{key}: {_explanation(network, size, batch, reason)}")


@contextmanager
def explained_forward(network: SegmentationNetwork, images: Tensor) -> Iterator[None]:
    """Turn an error of a network's pass over images (N, 3, H, W) into a FoldsegError that names both.

    What the machine has run out of is left to `resources.explained_resources`.
    """
    try:
        yield
    except FoldsegError:
        raise
    except Exception as error:
        if explain_resources(error, "") is not None:
            raise
        size = images.shape[-2], images.shape[-1]
        raise FoldsegError(_explanation(network, size, len(images), _reason(error))) from error


def _refusal(
    network: SegmentationNetwork, size: tuple[int, int], batch: int, training: bool, device: str
) -> str | None:
    """Return why the network cannot take such images, or None. The network stays as it is."""
    was_training = network.training
    network.train(training)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    copies = {name: tensor.detach().to(device, copy=True) for name, tensor in tensors.items()}
    images = torch.zeros(batch, 3, *size, dtype=torch.uint8, device=device)
    try:
        with torch.no_grad():
            functional_call(network, copies, (images,))
    except Exception as error:
        # What this machine has no memory for, or this device no kernel, another may have
        return None if explain_resources(error, "") or isinstance(error, NotImplementedError) else _reason(error)
    finally:
        network.train(was_training)
    return None


def _explanation(network: SegmentationNetwork, size: tuple[int, int], batch: int, reason: str) -> str:
    what = f"{batch} image{'s' if batch > 1 else ''} of {size[1]}x{size[0]} (width x height)"
    return f"model: {network.title} cannot take {what}: {reason}. {_cure(network, size, reason)}"


def _cure(network: SegmentationNetwork, size: tuple[int, int], reason: str) -> str:
    if "more than 1 value per channel" in reason:
        return (
            "Batch norm wants more than one value of a channel: use batch_size=2 or more (for each device), or "
            "model.norm=group"
        )
    fixed = _fixed_size(network.encoder_name)
    if fixed is not None:
        return (
            f"The encoder is made for {fixed[1]}x{fixed[0]}: use crops and tiles of {list(fixed)} "
            f"(view.train={{kind: crop, size: {list(fixed)}}} view.predict={{kind: tiles, size: {list(fixed)}}}), or "
            f"build it for another size (model.options.img_size={list(size)})"
        )
    smallest = _smallest_square(network)
    if smallest is not None and (smallest > size[0] or smallest > size[1]):
        return f"It takes {smallest}x{smallest} and more: use larger crops, or another architecture"
    return "Use another view.train or view.predict, another architecture, or other model.options"


def _fixed_size(encoder: str) -> tuple[int, int] | None:
    """Return the one (height, width) that an encoder of timm's takes, None for the others."""
    config = timm.get_pretrained_cfg(encoder.removeprefix("tu-"), allow_unregistered=True)
    if not encoder.startswith("tu-") or config is None or not config.fixed_input_size:
        return None
    return config.input_size[1], config.input_size[2]


def _smallest_square(network: SegmentationNetwork) -> int | None:
    """Return the smallest side (stride times a power of two) of squares that the network takes; None without one."""
    side = network.stride
    while side <= _LARGEST:
        if _refusal(network, (side, side), 2, True, "meta") is None:
            return side
        side *= 2
    return None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".rstrip(". ")

"""Which device computes, and in which precision. Nothing else decides that."""

import torch

from foldseg.config.schema.definitions import PRECISIONS
from foldseg.errors import FoldsegError


def check_device(device: str, precision: str = "fp32") -> None:
    """Raise FoldsegError if there is no GPU, but the device (auto, cpu or gpu) or the precision needs one."""
    if torch.cuda.is_available():
        return
    if device == "gpu":
        raise FoldsegError("device: gpu was asked for and none is found; use device=auto or device=cpu")
    if PRECISIONS[precision].needs_gpu:
        others = " or ".join(f"precision={name}" for name, other in PRECISIONS.items() if not other.needs_gpu)
        raise FoldsegError(f"precision: {precision} needs a GPU and none is found; use {others}")


def choose_device(device: str) -> torch.device:
    """Return the device that auto, cpu or gpu stands for here; auto is a GPU where there is one.

    FoldsegError if `gpu` is asked for and there is none.
    """
    check_device(device)
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def choose_autocast(device: torch.device, precision: str) -> torch.dtype | None:
    """Return what a network computes in, outside of Lightning: bfloat16, float16, or None for float32.

    On a CPU that is always float32.
    """
    name = PRECISIONS[precision].half_dtype
    if name is None or device.type != "cuda":
        return None
    dtype: torch.dtype = getattr(torch, name)
    return dtype

"""Which device computes, and in which precision. The one place that decides it."""

from typing import Literal

import torch

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import PrecisionName
from foldseg.errors import FoldsegError

TRAINING_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
"""Setting `precision` -> its name in Lightning."""
check_entries(TRAINING_PRECISIONS, PrecisionName, "models/device.py: TRAINING_PRECISIONS")

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_device(device: str, precision: str = "fp32") -> None:
    """FoldsegError when a GPU is asked for, or needed, and there is none. `device`: auto, cpu or gpu."""
    if torch.cuda.is_available():
        return
    if device == "gpu":
        raise FoldsegError("device: gpu was asked for and none is found; use device=auto or device=cpu")
    if precision == "fp16":
        raise FoldsegError("precision: fp16 needs a GPU and none is found; use precision=fp32 or precision=bf16")


def choose_device(device: str) -> torch.device:
    """Return the device that auto, cpu or gpu stands for here; auto is a GPU where there is one.

    FoldsegError when a GPU is asked for and there is none.
    """
    check_device(device)
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def choose_autocast(device: torch.device, precision: str) -> torch.dtype | None:
    """Return what a network computes in, outside of Lightning: bfloat16, float16, or None for float32.

    On a CPU that is always float32.
    """
    return _HALF.get(precision) if device.type == "cuda" else None

"""Decoded pictures as tensors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldseg.data.labels import Image, Mask


def as_tensor(image: Image) -> Tensor:
    """Return an image (H, W, C) uint8 as a tensor (C, H, W) of the same memory, in which channels stay last."""
    return torch.from_numpy(as_writable(image)).permute(2, 0, 1)


def mask_as_tensor(mask: Mask) -> Tensor:
    """Return a mask (H, W) uint8 as a tensor (H, W) of the same memory."""
    return torch.from_numpy(as_writable(mask))


def as_writable(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `picture` as a contiguous, writable array. It is copied only if it is not so already.

    A picture from a cache is a part of a file that is mapped into memory, and is copied.
    """
    return np.require(picture, requirements=["C", "W"])

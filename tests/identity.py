"""A network that sees one pixel, and pictures to show it: whatever is done around it must give the picture back."""

import numpy as np
from torch import Tensor

PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
"""Colours of three classes."""


def identity(images: Tensor) -> Tensor:
    """A network whose logits are the picture: a pixel in colour c of the palette is of class c."""
    return images.float() / 16


def blocks(height: int, width: int, side: int = 1, seed: int = 0) -> np.ndarray:
    """(H, W) uint8 classes 0..2 in random squares of `side` pixels."""
    small = np.random.default_rng(seed).integers(0, 3, (-(-height // side), -(-width // side)), dtype=np.uint8)
    return small.repeat(side, 0).repeat(side, 1)[:height, :width]

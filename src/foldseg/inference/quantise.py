"""Probabilities as tensors -> 8-bit integers round(255 p); see `map_file.quantise_array`, which does so with numpy."""

import numpy as np
import torch
from torch import Tensor

from foldseg.inference.map_file import quantise_array
from foldseg.views.activation import SOFTMAX, Activation


def quantise(maps: Tensor, activation: Activation = SOFTMAX) -> Tensor:
    """Return round(255 p) uint8 of probabilities (..., classes, H, W), on the CPU."""
    return quantise_on_device(maps, activation).cpu()


def quantise_on_device(maps: Tensor, activation: Activation = SOFTMAX) -> Tensor:
    """Return round(255 p) uint8 of probabilities (..., classes, H, W), on their device.

    The most probable of the alternatives at a pixel stays the same (see `foldseg.views.activation`).
    """
    return activation.from_alternatives(_quantise_alternatives(activation.to_alternatives(maps)))


def _quantise_alternatives(maps: Tensor) -> Tensor:
    if maps.device.type != "cpu":
        return quantise_by_torch(maps)
    # On the CPU numpy and OpenCV are several times faster than torch
    images = maps.reshape(-1, *maps.shape[-3:]).numpy()
    return torch.from_numpy(np.stack([quantise_array(image) for image in images])).view(maps.shape)


def quantise_by_torch(maps: Tensor) -> Tensor:
    """Return round(255 p) uint8 of probabilities (..., classes, H, W), computed by torch on any device."""
    planes = (maps * 255 + 0.5).to(torch.uint8)
    most_probable = maps.argmax(-3, keepdim=True)
    is_overtaken = planes.argmax(-3, keepdim=True) != most_probable
    return planes.scatter_add_(-3, most_probable, is_overtaken.to(torch.uint8))

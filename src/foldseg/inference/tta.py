"""Test-time augmentation: views of an image and the way back, averaged as probabilities."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def flip(images: Tensor) -> Tensor:
    """Mirror left and right: (..., H, W) -> (..., H, W). Its own inverse."""
    return images.flip(-1)


TTA: dict[str, tuple[Map, Map]] = {"flip": (flip, flip)}
"""Name -> (transform of images, its inverse on probability maps)."""


def tta_mean(predict: Map, images: Tensor, names: Sequence[str]) -> Tensor:
    """Mean probability over the plain image and its views.

    `predict` maps images (N, 3, H, W) to probabilities (N, classes, H, W); so does the result.
    """
    views = [predict(images), *(TTA[name][1](predict(TTA[name][0](images))) for name in names)]
    return torch.stack(views).mean(0) if len(views) > 1 else views[0]

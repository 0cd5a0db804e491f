"""Random logits and masks, and the value of one term of the loss on them."""

import torch
from torch import Tensor

from foldseg.config.schema import Loss
from foldseg.losses import segmentation_loss


def batch(seed: int = 0, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Logits (2, 4, 6, 5) and masks of all classes with about a fifth void."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 6, 5, generator=generator)
    masks = torch.randint(0, classes + 1, (2, 6, 5), generator=generator).to(torch.uint8)
    return logits, torch.where(masks == classes, 255, masks).to(torch.uint8)


def only(name: str, **settings: object) -> Loss:
    return Loss(**{name: 1.0}, **settings)  # type: ignore[arg-type]


def value(name: str, logits: Tensor, masks: Tensor, weights: Tensor | None = None) -> float:
    return float(segmentation_loss(logits, masks, only(name), weights)[0])

"""What a network gives to training: logits, and what else is to be supervised."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """All outputs of a network for one batch of N images of H x W pixels.

    `logits` are (N, classes, H, W). `auxiliary` holds further logits (N, classes, h, w) of any size that are
    supervised as well (deep supervision, ACFNet's coarse map). `presence` holds logits (N, classes) of whether a
    class is anywhere in the image, None when the network has no such head.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    presence: Tensor | None = None

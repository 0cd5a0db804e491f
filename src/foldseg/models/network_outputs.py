"""What a network gives to training: logits, and what else is supervised."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class NetworkOutputs:
    """All outputs of a network for one batch of N images of H x W pixels."""

    logits: Tensor
    """(N, classes, H, W)."""
    auxiliary: tuple[Tensor, ...] = ()
    """Further logits (N, classes, h, w) of any size that are supervised, too: deep supervision, ACFNet's coarse map."""
    presence: Tensor | None = None
    """Logits (N, classes) of whether a class is anywhere in the image; None if the network has no such head."""

"""What the terms of a loss share. It is computed once, however many terms there are.

Void pixels are masked, not removed: to remove them, the host would have to wait for the GPU to count them.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from foldseg.data.labels import IGNORE_INDEX


@dataclass(frozen=True)
class Pixels:
    """Logits (N, classes, H, W) float32 and masks (N, H, W) uint8 with 255 for void, and what follows from them."""

    logits: Tensor
    masks: Tensor

    @cached_property
    def valid(self) -> Tensor:
        """(N, H, W) bool: pixels that are not void."""
        return self.masks != IGNORE_INDEX

    @cached_property
    def target(self) -> Tensor:
        """(N, H, W) int64: the class of each pixel, 255 where it is void."""
        return self.masks.long()

    @cached_property
    def count(self) -> Tensor:
        """Number of valid pixels, a float32 scalar; 1 when there is none, so that it can divide."""
        return self.valid.sum().clamp(min=1).float()

    @cached_property
    def log_probabilities(self) -> Tensor:
        """(N, classes, H, W): log-softmax of the logits, of void pixels too."""
        return functional.log_softmax(self.logits, 1)

    @cached_property
    def probabilities(self) -> Tensor:
        """(N, classes, H, W): softmax of the logits, 0 at void pixels."""
        return self.log_probabilities.exp() * self.valid[:, None]

    @cached_property
    def truth(self) -> Tensor:
        """(N, classes, H, W) bool: one-hot masks, False for every class at void pixels."""
        classes = torch.arange(self.logits.shape[1], device=self.masks.device, dtype=self.masks.dtype)
        return self.masks[:, None] == classes[:, None, None]

    @cached_property
    def cross_entropies(self) -> Tensor:
        """(N, H, W): cross-entropy of each pixel in nats, 0 at void pixels."""
        return functional.nll_loss(self.log_probabilities, self.target, ignore_index=IGNORE_INDEX, reduction="none")

    @cached_property
    def areas(self) -> tuple[Tensor, Tensor, Tensor]:
        """Per class: overlap of probability and truth, area of probability, area of truth; all in pixels."""
        overlap = torch.where(self.truth, self.probabilities, 0.0).sum((0, 2, 3))
        return overlap, self.probabilities.sum((0, 2, 3)), self.truth.sum((0, 2, 3)).float()

    def weigh(self, class_weights: Tensor | None) -> Tensor:
        """Return the weight of each pixel's class, 0 at void pixels: (N, H, W). `class_weights`: (classes,) or None."""
        if class_weights is None:
            return self.valid.float()
        return class_weights[self.target.where(self.valid, 0)] * self.valid


def mean_where(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of `values` where `counted` is true, or weighted by it; a differentiable 0 if nothing counts.

    `counted`: bool or weights, of the same shape.
    """
    total = counted.sum()
    return (values * counted).sum() / total.where(total > 0, 1.0)

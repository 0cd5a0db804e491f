"""What the terms of a loss share. It is computed once, however many terms there are.

`Pixels` is of exclusive classes, `OverlappingPixels` of overlapping ones. Terms ask them for what is different, so a
term is written once. Void pixels are masked, not removed: to remove them, the host would have to wait for the GPU to
count them.
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

    @property
    def class_weights(self) -> Tensor | None:
        """Weights (classes,) of the classes in every term. None: all weigh the same."""
        return None

    @cached_property
    def counted_classes(self) -> Tensor:
        """(classes,): how much each class counts in a mean over classes, bool or weights.

        A class that is nowhere in the truth does not count: its false positives are misses of other classes already.
        """
        return self.areas[2] > 0

    def list_counted_classes(self) -> Tensor:
        """Return the indices of the classes that count. The host waits for them; sorting all classes takes longer."""
        return self.truth.any(3).any(2).any(0).nonzero()[:, 0]

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of losses that have the shape of `cross_entropies`, and are 0 at void pixels."""
        return losses.sum() / self.count

    def mean_over_classes(self, losses: Tensor) -> Tensor:
        """Return the mean of losses (N, classes, H, W) over classes and valid pixels."""
        return (losses.mean(1) * self.valid).sum() / self.count

    def weigh(self, class_weights: Tensor | None) -> Tensor:
        """Return the weight of each pixel's class, 0 at void pixels: (N, H, W). `class_weights`: (classes,) or None."""
        if class_weights is None:
            return self.valid.float()
        return class_weights[self.target.where(self.valid, 0)] * self.valid


@dataclass(frozen=True)
class OverlappingPixels(Pixels):
    """Pixels of overlapping classes: masks hold class bits, and each class is decided by itself, by a sigmoid.

    `weights` (classes,): of the classes in every term; None: all weigh the same.
    """

    weights: Tensor | None = None

    @property
    def class_weights(self) -> Tensor | None:
        """Weights (classes,) of the classes in every term. None: all weigh the same."""
        return self.weights

    @cached_property
    def probabilities(self) -> Tensor:
        """(N, classes, H, W): sigmoid of the logits, 0 at void pixels."""
        return self.logits.sigmoid() * self.valid[:, None]

    @cached_property
    def truth(self) -> Tensor:
        """(N, classes, H, W) bool: the class bits, False for every class at void pixels."""
        shifts = torch.arange(self.logits.shape[1], device=self.masks.device, dtype=self.masks.dtype)
        bits = self.masks[:, None] >> shifts[:, None, None] & 1
        return (bits == 1) & self.valid[:, None]

    @cached_property
    def cross_entropies(self) -> Tensor:
        """(N, classes, H, W): binary cross-entropy of each class in nats, 0 at void pixels."""
        losses = functional.softplus(self.logits) - torch.where(self.truth, self.logits, 0.0)
        return losses * self.valid[:, None]

    @cached_property
    def counted_classes(self) -> Tensor:
        """(classes,): the weights of the classes; 0 if every pixel is void.

        A class that is nowhere in the truth counts, too: no other class misses its false positives.
        """
        weights = torch.ones_like(self.logits[0, :, 0, 0]) if self.weights is None else self.weights
        return weights * self.valid.any()

    def list_counted_classes(self) -> Tensor:
        """Return the indices of all classes."""
        return torch.arange(self.logits.shape[1], device=self.logits.device)

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of losses (N, classes, H, W) over classes and valid pixels. They are 0 at void pixels."""
        return mean_where(losses.sum((0, 2, 3)) / self.count, self.counted_classes)

    def mean_over_classes(self, losses: Tensor) -> Tensor:
        """Return the mean of losses (N, classes, H, W) over classes and valid pixels."""
        return self.mean(losses * self.valid[:, None])


def mean_where(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of `values` where `counted` is true, or weighted by it; a differentiable 0 if nothing counts.

    `counted`: bool or weights, of the same shape.
    """
    total = counted.sum()
    return (values * counted).sum() / total.where(total > 0, 1.0)

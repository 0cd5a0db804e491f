"""How the logits of a network become probabilities, and probabilities a mask: of exclusive or of overlapping classes.

At each pixel there are *alternatives*, whose probabilities sum to 1:

    exclusive      the classes of the label set
    overlapping    for each class by itself: the class, and not the class

Code that votes, merges or normalises works on alternatives, so it need not know of which kind the classes are. The same
for numpy is in `foldseg.inference.class_rule`.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from foldseg.data.labels import LabelSet


class Activation(ABC):
    """The last function of a network. All maps are (..., classes, H, W)."""

    @abstractmethod
    def compute_probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of float32 logits."""

    @abstractmethod
    def to_alternatives(self, maps: Tensor) -> Tensor:
        """Return the probabilities of the alternatives, (..., alternatives, H, W). They sum to 1 over dimension -3."""

    @abstractmethod
    def from_alternatives(self, alternatives: Tensor) -> Tensor:
        """Return the probabilities of the classes: the inverse of `to_alternatives`."""

    @abstractmethod
    def decide(self, maps: Tensor) -> Tensor:
        """Return the mask of probabilities, (..., H, W) uint8: class indices, or class bits."""


class Softmax(Activation):
    """Of exclusive classes: a pixel is of its most probable class."""

    def compute_probabilities(self, logits: Tensor) -> Tensor:
        """Return the softmax over classes."""
        return logits.softmax(-3)

    def to_alternatives(self, maps: Tensor) -> Tensor:
        """Return the maps as they are."""
        return maps

    def from_alternatives(self, alternatives: Tensor) -> Tensor:
        """Return the maps as they are."""
        return alternatives

    def decide(self, maps: Tensor) -> Tensor:
        """Return the index of the most probable class."""
        return maps.argmax(-3).to(torch.uint8)


class Sigmoid(Activation):
    """Of overlapping classes: a pixel is of every class whose probability is at least 0.5."""

    def compute_probabilities(self, logits: Tensor) -> Tensor:
        """Return the sigmoid of each logit."""
        return logits.sigmoid()

    def to_alternatives(self, maps: Tensor) -> Tensor:
        """Return (..., classes, 2, H, W): the probability of the class, and that of its absence."""
        return torch.stack([maps, 1 - maps], -3)

    def from_alternatives(self, alternatives: Tensor) -> Tensor:
        """Return the probabilities of the classes."""
        return alternatives.select(-3, 0)

    def decide(self, maps: Tensor) -> Tensor:
        """Return class bits."""
        bits = torch.tensor([1 << index for index in range(maps.shape[-3])], dtype=torch.uint8, device=maps.device)
        return ((maps >= 0.5) * bits[:, None, None]).sum(-3, dtype=torch.uint8)


SOFTMAX, SIGMOID = Softmax(), Sigmoid()


def choose_activation(labels: LabelSet) -> Activation:
    """Return the activation of networks that are trained on these classes."""
    return SIGMOID if labels.overlapping else SOFTMAX

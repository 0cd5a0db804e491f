"""How probabilities share a pixel, with numpy: of exclusive classes and of overlapping ones.

At each pixel there are *alternatives*, whose probabilities sum to 1:

    exclusive      the classes of the label set
    overlapping    for each class by itself: the class, and not the class

Code that blends, votes or normalises works on alternatives, so it need not know of which kind the classes are. The same
for torch is in `foldseg.views.activation`. Imported by worker processes, which have no torch.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet, Mask
from foldseg.inference.map_file import Quantised, quantise_array

_BLOCK = 1 << 16
"""Pixels of a block that fits a processor's cache."""

Maps = NDArray[np.float32]
"""(classes, H, W): probabilities p, or levels 255 p. What 1 is in it, is called `full`."""
Alternatives = NDArray[np.float32]
"""(alternatives, ...): maps of exclusive classes, or (2, classes, H, W) of overlapping ones."""


class ClassRule(ABC):
    """How the probabilities of classes share a pixel."""

    @abstractmethod
    def decide(self, maps: NDArray[Any], full: float = 1.0) -> Mask:
        """Return the mask of maps (classes, ...), (...) uint8: class indices, or class bits."""

    @abstractmethod
    def quantise(self, probabilities: Maps) -> Quantised:
        """Return round(255 p), (classes, H, W) uint8. The mask that is decided stays the same at every pixel."""

    @abstractmethod
    def restore(self, planes: Quantised) -> Maps:
        """Return the probabilities of quantised planes."""

    @abstractmethod
    def to_alternatives(self, maps: Maps, full: float = 1.0) -> Alternatives:
        """Return the maps of the alternatives. They sum to `full` over the first dimension."""

    @abstractmethod
    def from_alternatives(self, alternatives: Alternatives) -> Maps:
        """Return the maps of the classes: the inverse of `to_alternatives`."""


class ExclusiveRule(ClassRule):
    """A pixel is of its most probable class. The probabilities of the classes sum to 1."""

    def decide(self, maps: NDArray[Any], full: float = 1.0) -> Mask:
        """Return the index of the largest class, the first of equal ones."""
        return argmax(maps)

    def quantise(self, probabilities: Maps) -> Quantised:
        """Return round(255 p) such that the most probable class stays the same."""
        return quantise_array(probabilities)

    def restore(self, planes: Quantised) -> Maps:
        """Return planes that are scaled to sum to 1 at every pixel."""
        maps = planes.astype(np.float32)
        maps /= maps.sum(0)
        return maps

    def to_alternatives(self, maps: Maps, full: float = 1.0) -> Alternatives:
        """Return the maps as they are."""
        return maps

    def from_alternatives(self, alternatives: Alternatives) -> Maps:
        """Return the maps as they are."""
        return alternatives


class OverlappingRule(ClassRule):
    """A pixel is of every class whose probability is at least 0.5."""

    def decide(self, maps: NDArray[Any], full: float = 1.0) -> Mask:
        """Return class bits."""
        bits = np.zeros(maps.shape[1:], np.uint8)
        for index, plane in enumerate(maps):
            bits |= (plane >= full / 2).view(np.uint8) << np.uint8(index)
        return bits

    def quantise(self, probabilities: Maps) -> Quantised:
        """Return round(255 p). 0.5 becomes 128, and everything below it at most 127."""
        return (probabilities * np.float32(255) + np.float32(0.5)).astype(np.uint8)

    def restore(self, planes: Quantised) -> Maps:
        """Return planes / 255. The classes of a pixel may sum to anything."""
        return planes.astype(np.float32) / np.float32(255)

    def to_alternatives(self, maps: Maps, full: float = 1.0) -> Alternatives:
        """Return (2, classes, H, W): the probability of each class, and that of its absence."""
        return np.stack([maps, np.float32(full) - maps])

    def from_alternatives(self, alternatives: Alternatives) -> Maps:
        """Return the probabilities of the classes."""
        return alternatives[0]


EXCLUSIVE, OVERLAPPING = ExclusiveRule(), OverlappingRule()


def choose_rule(labels: LabelSet) -> ClassRule:
    """Return how the classes of a label set share a pixel."""
    return OVERLAPPING if labels.overlapping else EXCLUSIVE


def argmax(maps: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the index of the largest class of each pixel, the first of equal ones: (classes, H, W) -> (H, W) uint8.

    This is a running maximum over blocks of pixels. numpy's own argmax over the first axis takes six times as long.
    """
    planes = maps.reshape(len(maps), -1)
    labels = np.zeros(planes.shape[1], np.uint8)
    for start in range(0, planes.shape[1], _BLOCK):
        part, label = planes[:, start : start + _BLOCK], labels[start : start + _BLOCK]
        best = part[0].copy()
        leads = np.empty(len(label), bool)
        led = leads.view(np.uint8)
        for index in range(1, len(part)):
            np.greater(part[index], best, out=leads)
            np.maximum(best, part[index], out=best)
            led *= np.uint8(index)  # the last class that led has the largest index
            np.maximum(label, led, out=label)
    return labels.reshape(maps.shape[1:])

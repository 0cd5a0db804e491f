"""Test-time augmentation: the symmetries of a square, their inverses, and how views' probabilities are merged.

Views are merged one by one, so that only one of them is in memory beside the result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import ViewMergeName
from foldseg.errors import FoldsegError
from foldseg.views.activation import SOFTMAX, Activation
from foldseg.views.tiles import votes

Map = Callable[[Tensor], Tensor]

_EPSILON = 1e-7  # logarithms are taken of no smaller probability
_TOLERANCE = 1e-2  # by which a sum of probabilities may differ from 1
_STEP = 16  # every 16th row and column is checked


def _flip(maps: Tensor) -> Tensor:
    return maps.flip(-1)


def _vflip(maps: Tensor) -> Tensor:
    return maps.flip(-2)


def _transpose(maps: Tensor) -> Tensor:
    return maps.transpose(-1, -2)


def _transverse(maps: Tensor) -> Tensor:
    """Mirror at the other diagonal."""
    return maps.rot90(2, (-2, -1)).transpose(-1, -2)


def _unchanged(maps: Tensor) -> Tensor:
    return maps


def _rotation(quarters: int) -> Map:
    """Return a function that rotates maps counterclockwise by so many quarter turns."""
    return lambda maps: maps.rot90(quarters, (-2, -1))


TURNS: dict[str, tuple[Map, Map]] = {
    "plain": (_unchanged, _unchanged),
    "flip": (_flip, _flip),
    "vflip": (_vflip, _vflip),
    "rot180": (_rotation(2), _rotation(2)),
    "rot90": (_rotation(1), _rotation(3)),
    "rot270": (_rotation(3), _rotation(1)),
    "transpose": (_transpose, _transpose),
    "transverse": (_transverse, _transverse),
}
"""Symmetry -> a function of images or maps (..., H, W), and its inverse. Quarter turns exchange height and width."""


@dataclass(frozen=True)
class Merge:
    """How n views become one: `finish(combine(... combine(term(p1), term(p2)) ..., term(pn)), n)`.

    Takes probabilities of alternatives, (..., alternatives, H, W), and returns such (see `foldseg.views.activation`).
    `combine` is associative and may overwrite its first argument.
    """

    term: Map
    combine: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor, int], Tensor]


def _mean(total: Tensor, number: int) -> Tensor:
    return total / number


def _normalise(total: Tensor, _: int) -> Tensor:
    return total / total.sum(-3, keepdim=True)


def _logarithm(maps: Tensor) -> Tensor:
    return maps.clamp_min(_EPSILON).log_()


def _softmax_of_mean(total: Tensor, number: int) -> Tensor:
    """Return the normalised geometric mean of `number` maps from the sum of their logarithms.

    The exponential of the mean logarithm, divided by its sum over classes, is the softmax of that mean.
    """
    return (total / number).softmax(-3)


def _maximum(total: Tensor, maps: Tensor) -> Tensor:
    return torch.maximum(total, maps, out=total)


MERGES: dict[str, Merge] = {
    "mean": Merge(_unchanged, torch.Tensor.add_, _mean),
    "geometric_mean": Merge(_logarithm, torch.Tensor.add_, _softmax_of_mean),
    "max": Merge(_unchanged, _maximum, _normalise),
    "vote": Merge(votes, torch.Tensor.add_, _mean),
    "tsharpen": Merge(torch.sqrt, torch.Tensor.add_, _normalise),  # as ttach does with a temperature of 0.5
}
"""Name -> how views are merged."""
check_entries(MERGES, ViewMergeName, "inference/tta.py: MERGES")


class Merger:
    """A merge of views that are added one at a time. The first one is overwritten."""

    def __init__(self, name: str, activation: Activation = SOFTMAX) -> None:
        self._merge, self._activation = MERGES[name], activation
        self._total: Tensor | None = None
        self._number = 0

    def add(self, maps: Tensor, name: str) -> None:
        """Add the probabilities (..., classes, H, W) of the view `name`. FoldsegError if they are no probabilities."""
        alternatives = self._activation.to_alternatives(maps)
        check_probabilities(alternatives, name)
        term = self._merge.term(alternatives)
        self._total = term if self._total is None else self._merge.combine(self._total, term)
        self._number += 1

    def result(self) -> Tensor:
        """Return the merged probabilities. Those of exclusive classes sum to 1 at every pixel."""
        assert self._total is not None
        return self._activation.from_alternatives(self._merge.finish(self._total, self._number))


def check_probabilities(maps: Tensor, name: str) -> None:
    """Raise FoldsegError unless (..., alternatives, H, W) holds numbers from 0 to 1 that sum to 1 at every pixel.

    Looks at one pixel in 256, which is enough: logits, or the output of a network that overflows, are wrong at most
    pixels.
    """
    sample = maps[..., ::_STEP, ::_STEP]
    sums = sample.sum(-3)
    # One transfer from the device for all four
    low, high, low_sum, high_sum = torch.stack([sample.min(), sample.max(), sums.min(), sums.max()]).tolist()
    are_in_range = low >= 0 and high <= 1 + _TOLERANCE
    sum_to_one = low_sum >= 1 - _TOLERANCE and high_sum <= 1 + _TOLERANCE
    if not (are_in_range and sum_to_one):
        raise FoldsegError(
            f"view {name}: only probabilities can be merged; found values from {low:g} to {high:g} "
            f"whose sums over classes are from {low_sum:g} to {high_sum:g}"
        )

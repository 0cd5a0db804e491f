"""Test-time augmentation: views of an image, the way back, and how their probabilities are merged.

Views are merged as they come, so that only one of them is in memory beside the result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import ViewMergeName
from foldseg.errors import FoldsegError
from foldseg.views.tiles import votes

Map = Callable[[Tensor], Tensor]

_EPSILON = 1e-7  # least probability whose logarithm is taken
_TOLERANCE = 1e-2  # of a sum of probabilities
_STEP = 16  # rows and columns of which one is checked


def _flip(maps: Tensor) -> Tensor:
    return maps.flip(-1)


def _vflip(maps: Tensor) -> Tensor:
    return maps.flip(-2)


def _transpose(maps: Tensor) -> Tensor:
    return maps.transpose(-1, -2)


def _turn(quarters: int) -> Map:
    """Turn counterclockwise."""
    return lambda maps: maps.rot90(quarters, (-2, -1))


TURNS: dict[str, tuple[Map, Map]] = {
    "plain": (lambda maps: maps, lambda maps: maps),
    "flip": (_flip, _flip),
    "vflip": (_vflip, _vflip),
    "rot180": (_turn(2), _turn(2)),
    "rot90": (_turn(1), _turn(3)),
    "rot270": (_turn(3), _turn(1)),
    "transpose": (_transpose, _transpose),
    "transverse": (lambda maps: maps.rot90(2, (-2, -1)).transpose(-1, -2),) * 2,
}
"""Symmetry of the square -> what it does to (..., H, W), and its inverse. Quarter turns exchange the sides."""


@dataclass(frozen=True)
class Merge:
    """A reduction of views: `finish(combine(... combine(term(p1), term(p2)) ..., term(pn)), n)`.

    Probabilities (..., classes, H, W) in, probabilities out. `combine` is associative and may overwrite its first
    argument.
    """

    term: Map
    combine: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor, int], Tensor]


def _mean(total: Tensor, number: int) -> Tensor:
    return total / number


def _normalised(total: Tensor, _: int) -> Tensor:
    return total / total.sum(-3, keepdim=True)


MERGES: dict[str, Merge] = {
    "mean": Merge(lambda p: p, torch.Tensor.add_, _mean),
    # exp of the mean logarithm, divided by its sum over classes, is the softmax of that mean
    "geometric_mean": Merge(
        lambda p: p.clamp_min(_EPSILON).log_(), torch.Tensor.add_, lambda total, n: (total / n).softmax(-3)
    ),
    "max": Merge(lambda p: p, lambda total, p: torch.maximum(total, p, out=total), _normalised),
    "vote": Merge(votes, torch.Tensor.add_, _mean),
    "tsharpen": Merge(torch.sqrt, torch.Tensor.add_, _normalised),  # as ttach does at its temperature of 0.5
}
"""Name -> how views are merged."""
check_entries(MERGES, ViewMergeName, "inference/tta.py: MERGES")


class Merger:
    """Takes views in one at a time; the first is overwritten."""

    def __init__(self, name: str) -> None:
        self._merge = MERGES[name]
        self._total: Tensor | None = None
        self._number = 0

    def add(self, maps: Tensor, name: str) -> None:
        """Take in the probabilities (..., classes, H, W) of the view `name`; FoldsegError when they are none."""
        check_probabilities(maps, name)
        term = self._merge.term(maps)
        self._total = term if self._total is None else self._merge.combine(self._total, term)
        self._number += 1

    def result(self) -> Tensor:
        """Merged probabilities; at every pixel they sum to 1."""
        assert self._total is not None
        return self._merge.finish(self._total, self._number)


def check_probabilities(maps: Tensor, name: str) -> None:
    """FoldsegError unless (..., classes, H, W) holds numbers from 0 to 1 that sum to 1 at every pixel.

    Looks at one pixel in 256: logits, and what a network with overflows gives, are found in any.
    """
    some = maps[..., ::_STEP, ::_STEP]
    sums = some.sum(-3)
    low, high, least, most = torch.stack([some.min(), some.max(), sums.min(), sums.max()]).tolist()
    if not (low >= 0 and high <= 1 + _TOLERANCE and least >= 1 - _TOLERANCE and most <= 1 + _TOLERANCE):
        raise FoldsegError(
            f"view {name}: only probabilities can be merged; found values from {low:g} to {high:g} "
            f"whose sums over classes are from {least:g} to {most:g}"
        )

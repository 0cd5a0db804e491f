"""The blend of members: their probability maps become one map, image by image, with one member in memory at a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Blend, GeometricMeanBlend, MeanBlend, RankMeanBlend, VoteBlend
from foldseg.config.schema.choice import check_entries
from foldseg.errors import FoldsegError
from foldseg.inference.class_rule import EXCLUSIVE, Alternatives, ClassRule
from foldseg.inference.class_rule import argmax as argmax
from foldseg.inference.store import Quantised

LEAST = 0.5
"""A probability that is stored as 0 may be as high as half a level."""

Probabilities = NDArray[np.float32]
Planes = Quantised | NDArray[np.uint16]
"""(classes, H, W): round(255 p), or sums of such planes."""
Levels = NDArray[np.float32]
"""(classes, H, W): 255 p. In this unit, sums of stored maps with weights of 1 are exact, and ties stay ties."""


def merge_classes(quantised: Quantised, into: NDArray[np.intp]) -> Planes:
    """Sum the planes of classes that are merged into one: (C, H, W) uint8 -> (merged classes, H, W) uint16.

    `into[c]` is the index that class c is merged into (see `LabelSet.class_indices_in`); a class of -1 is left out.
    Sums are exact: the 254 planes that a label set may have fit into 16 bits. If nothing is merged or moved, the planes
    are returned unchanged.
    """
    if np.array_equal(into, np.arange(len(into))):
        return quantised
    merged = np.zeros((int(into.max()) + 1, *quantised.shape[1:]), np.uint16)
    for index, plane in zip(into, quantised, strict=True):
        if index >= 0:
            merged[index] += plane
    return merged


def weighted_sum(maps: Iterable[tuple[Planes, float]], name: str = "") -> Levels:
    """Return the sum of weight * map, (classes, H, W) float32, of (map, weight) pairs.

    `maps` is consumed one by one, so memory does not grow with their number. FoldsegError naming the image when there
    are none, or sizes or numbers of classes differ.
    """
    total: Levels | None = None
    for planes, weight in maps:
        part = planes * np.float32(weight)
        total = part if total is None else _add_in_place(total, part, name)
    if total is None:
        raise FoldsegError(f"{name}: no member has predicted it")
    return total


def _add_in_place(total: Levels, part: Levels, name: str) -> Levels:
    if total.shape != part.shape:
        raise FoldsegError(f"{name}: members differ in classes or size: {total.shape} and {part.shape}")
    total += part
    return total


def normalise(total: Probabilities) -> Probabilities:
    """Scale a weighted sum, in place, so that the alternatives sum to 1 at every pixel.

    Rounding leaves sums a little off. A pixel that is 0 in every class cannot be, with fewer than 510 classes.
    """
    total /= total.sum(0)
    return total


def _unchanged(maps: Alternatives, top: NDArray[np.uint8]) -> Alternatives:
    return maps


def _logarithms(maps: Alternatives, top: NDArray[np.uint8]) -> Alternatives:
    return np.log(np.maximum(maps, np.float32(LEAST)))


def _votes(maps: Alternatives, top: NDArray[np.uint8]) -> Alternatives:
    numbers = np.arange(len(maps), dtype=np.uint8).reshape(-1, *[1] * top.ndim)
    return (numbers == top).astype(np.float32)


def _ranks(maps: Alternatives, top: NDArray[np.uint8]) -> Alternatives:
    """Return the share of the other alternatives that one is above at a pixel. Equal ones count half.

    The shares of a pixel sum to alternatives / 2.
    """
    ranks = np.zeros(maps.shape, np.float32)
    for index, plane in enumerate(maps):
        for other in range(index):
            leads = np.sign(plane - maps[other]) / 2
            ranks[index] += leads
            ranks[other] -= leads
    ranks /= max(1, len(maps) - 1)
    ranks += np.float32(0.5)
    return ranks


def _exponential_of_mean(total: Alternatives, weight: NDArray[np.float32]) -> Alternatives:
    return np.exp(total / weight)


def _keep_total(total: Alternatives, weight: NDArray[np.float32]) -> Alternatives:
    return total


@dataclass(frozen=True)
class Rule:
    """A rule of blending: the weighted sum of a term per member, then a function of the sum.

    Both are functions of alternatives (see `foldseg.inference.class_rule`).
    """

    term: Callable[[Alternatives, NDArray[np.uint8]], Alternatives]
    """Of a member's map (alternatives, ...) and its argmax (...)."""
    finish: Callable[[Alternatives, NDArray[np.float32]], Alternatives] = _keep_total
    """Of the sum and the sum of the weights. Its alternatives are scaled to sum to 1 afterwards."""


RULES: dict[type[Blend], Rule] = {
    MeanBlend: Rule(_unchanged),
    GeometricMeanBlend: Rule(_logarithms, _exponential_of_mean),
    RankMeanBlend: Rule(_ranks),
    VoteBlend: Rule(_votes),
}
check_entries(RULES, Blend, "ensemble/blend.py: RULES")


def compute_term(rule: Rule, maps: Levels, mask: NDArray[np.uint8], classes: ClassRule) -> Alternatives:
    """Return what a member adds to a blend, before its weight: (alternatives, ...). `mask`: that of its maps."""
    alternatives = classes.to_alternatives(maps, 255.0)
    return rule.term(alternatives, mask if alternatives is maps else argmax(alternatives))


class Blender:
    """A running blend: members are added one by one, and none of them is kept.

    `union`: indices of classes that win a pixel if they win it in any member. There, only the members are blended in
    which one of these classes wins. That is for exclusive classes only. `classes`: how classes share a pixel.
    """

    def __init__(
        self, kind: type[Blend] = MeanBlend, union: Sequence[int] = (), classes: ClassRule = EXCLUSIVE
    ) -> None:
        self._rule, self._union, self._classes = RULES[kind], list(union), classes
        self._total: Levels | None = None
        self._weight: NDArray[np.float32] = np.zeros((), np.float32)
        self._of_union: tuple[Levels, NDArray[np.float32]] | None = None  # sum and weights (H, W) of members it wins in

    def add(self, maps: Levels, weight: float | NDArray[np.floating], top: NDArray[np.uint8], name: str) -> None:
        """Take in a member's levels (classes, H, W), its weight (one, or one per class) and its mask (H, W).

        Weights per class do not go with `union`. FoldsegError naming the image when sizes or numbers of classes differ
        from those of the members before.
        """
        share = np.asarray(weight, np.float32)
        if share.ndim:
            share = share[:, None, None]
        part = compute_term(self._rule, maps, top, self._classes) * share
        if self._union:
            self._add_to_union(part, top, share)
        self._total = part if self._total is None else _add_in_place(self._total, part, name)
        self._weight = self._weight + share

    def _add_to_union(self, part: Levels, top: NDArray[np.uint8], share: NDArray[np.float32]) -> None:
        wins = np.isin(top, self._union)
        if self._of_union is None:
            self._of_union = np.zeros_like(part), np.zeros(top.shape, np.float32)
        total, weight = self._of_union
        total[:, wins] += part[:, wins]
        weight[wins] += share

    def finish(self) -> Probabilities:
        """Return the blend, (classes, H, W) float32. Probabilities of exclusive classes sum to 1 at every pixel."""
        assert self._total is not None  # an ensemble has a member
        total, weight = self._total, self._weight
        if self._of_union is not None:
            union_total, union_weight = self._of_union
            wins = union_weight > 0
            total, weight = np.where(wins, union_total, total), np.where(wins, union_weight, weight)
        return self._classes.from_alternatives(normalise(self._rule.finish(total, weight)))

"""The blend of members: their probability maps become one map, image by image, with one member in memory at a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Blend, GeometricMeanBlend, MeanBlend, RankMeanBlend, VoteBlend
from foldseg.config.schema.choice import check_entries
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised

_BLOCK = 1 << 16
"""Pixels of a block that fits a processor's cache."""
LEAST = 0.5
"""A probability that is stored as 0 may be as high as half a level."""

Probabilities = NDArray[np.float32]
Planes = Quantised | NDArray[np.uint16]
"""(classes, H, W): round(255 p), or sums of such planes."""
Levels = NDArray[np.float32]
"""(classes, H, W): 255 p. In this unit, sums of stored maps with weights of 1 are exact, and ties stay ties."""


def merge_classes(quantised: Quantised, into: NDArray[np.intp]) -> Planes:
    """Sum the planes of classes that are merged into one: (C, H, W) uint8 -> (merged classes, H, W) uint16.

    `into[c]` is the index that class c is merged into (see `LabelSet.class_indices_in`). Sums are exact: the 254
    planes that a label set may have fit into 16 bits. If nothing is merged or moved, the planes are returned unchanged.
    """
    if np.array_equal(into, np.arange(len(into))):
        return quantised
    merged = np.zeros((int(into.max()) + 1, *quantised.shape[1:]), np.uint16)
    for index, plane in zip(into, quantised, strict=True):
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
    """Scale a weighted sum, in place, so that the classes sum to 1 at every pixel.

    Rounding leaves sums a little off. A pixel that is 0 in every class cannot be, with fewer than 510 classes.
    """
    total /= total.sum(0)
    return total


def _unchanged(maps: Levels, top: NDArray[np.uint8]) -> Levels:
    return maps


def _logarithms(maps: Levels, top: NDArray[np.uint8]) -> Levels:
    return np.log(np.maximum(maps, np.float32(LEAST)))


def _votes(maps: Levels, top: NDArray[np.uint8]) -> Levels:
    return (np.arange(len(maps), dtype=np.uint8)[:, None, None] == top).astype(np.float32)


def _ranks(maps: Levels, top: NDArray[np.uint8]) -> Levels:
    """Return the share of the other classes that a class is above at a pixel. Equal ones count half.

    The shares of a pixel sum to classes / 2.
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


def _exponential_of_mean(total: Levels, weight: NDArray[np.float32]) -> Levels:
    return np.exp(total / weight)


def _keep_total(total: Levels, weight: NDArray[np.float32]) -> Levels:
    return total


@dataclass(frozen=True)
class Rule:
    """A rule of blending: the weighted sum of a term per member, then a function of the sum."""

    term: Callable[[Levels, NDArray[np.uint8]], Levels]
    """Of a member's map (classes, H, W) and its argmax (H, W)."""
    finish: Callable[[Levels, NDArray[np.float32]], Levels] = _keep_total
    """Of the sum and the sum of the weights. Its classes are scaled to sum to 1 afterwards."""


RULES: dict[type[Blend], Rule] = {
    MeanBlend: Rule(_unchanged),
    GeometricMeanBlend: Rule(_logarithms, _exponential_of_mean),
    RankMeanBlend: Rule(_ranks),
    VoteBlend: Rule(_votes),
}
check_entries(RULES, Blend, "ensemble/blend.py: RULES")


class Blender:
    """A running blend: members are added one by one, and none of them is kept.

    `union`: indices of classes that win a pixel if they win it in any member. There, only the members are blended in
    which one of these classes wins.
    """

    def __init__(self, kind: type[Blend] = MeanBlend, union: Sequence[int] = ()) -> None:
        self._rule, self._union = RULES[kind], list(union)
        self._total: Levels | None = None
        self._weight: NDArray[np.float32] = np.zeros((), np.float32)
        self._of_union: tuple[Levels, NDArray[np.float32]] | None = None  # sum and weights (H, W) of members it wins in

    def add(self, maps: Levels, weight: float | NDArray[np.floating], top: NDArray[np.uint8], name: str) -> None:
        """Take in a member's levels (classes, H, W), its weight (one, or one per class) and its argmax (H, W).

        Weights per class do not go with `union`. FoldsegError naming the image when sizes or numbers of classes differ
        from those of the members before.
        """
        share = np.asarray(weight, np.float32)
        if share.ndim:
            share = share[:, None, None]
        part = self._rule.term(maps, top) * share
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
        """Return the blend, (classes, H, W) float32 whose classes sum to 1 at every pixel."""
        assert self._total is not None  # an ensemble has a member
        total, weight = self._total, self._weight
        if self._of_union is not None:
            union_total, union_weight = self._of_union
            wins = union_weight > 0
            total, weight = np.where(wins, union_total, total), np.where(wins, union_weight, weight)
        return normalise(self._rule.finish(total, weight))


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

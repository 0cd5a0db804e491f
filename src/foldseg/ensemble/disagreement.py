"""Where the members of an ensemble disagree: what a search of weights, and a table of the members, has to know."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.ensemble.blend import RULES, Levels, compute_term
from foldseg.ensemble.operation import Observation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext
from foldseg.ensemble.sample import DRAWN, PixelSample, draw_places, observe_pixels
from foldseg.inference.class_rule import OVERLAPPING, choose_rule
from foldseg.scoring.counts import Counts


def observe_members(
    context: ImageContext, labels: Mask, truth: Mask, max_bytes: int, per_class: bool = False
) -> Observation:
    """Keep the members' probabilities where their labels differ, and count how often members agree.

    labels, truth (H, W) uint8: class indices or class bits of the blend, and the true ones. per_class: also keep pixels
    in which a weight of a single class could change the blend; of overlapping classes there are no others. The arrays
    take at most about `max_bytes`. `agreement` (members, members) is the number of pixels that two members label alike.
    """
    rule = choose_rule(context.labels)
    tops: list[NDArray[np.uint8]] = []
    vectors: list[NDArray[np.uint8]] = []
    lowest_top: Levels | None = None  # (H, W): the lowest value that any member gives its most probable class
    highest_second: Levels | None = None  # (H, W): the highest value that any member gives its second class
    places: NDArray[np.intp] | None = None
    for maps in context.read_members():
        if places is None:
            places = draw_places(context.id, truth.size, max(1, DRAWN * max_bytes // len(maps)))
        tops.append(rule.decide(maps, 255.0))
        vectors.append((maps.reshape(len(maps), -1)[:, places] + np.float32(0.5)).astype(np.uint8))
        if per_class and rule is not OVERLAPPING:
            second, top = np.partition(maps, -2, axis=0)[-2:] if len(maps) > 1 else (maps[0] * 0, maps[0])
            lowest_top = top if lowest_top is None else np.minimum(lowest_top, top)
            highest_second = second if highest_second is None else np.maximum(highest_second, second)
    assert places is not None
    is_open = np.zeros(truth.shape, bool)
    if lowest_top is not None and highest_second is not None:
        is_open = lowest_top <= highest_second
    for top in tops[1:]:
        is_open |= top != tops[0]
    members, classes = len(tops), vectors[0].shape[0]
    stacked = np.stack(vectors).transpose(2, 0, 1)
    most = max_bytes // (members * classes)
    pixels = observe_pixels(truth, labels, is_open, places, stacked, most, context.labels)
    return {**pixels, "agreement": _count_agreement(tops, truth)}


def _count_agreement(tops: Sequence[NDArray[np.uint8]], truth: Mask) -> NDArray[np.int64]:
    is_known = truth != IGNORE_INDEX
    labels = [top[is_known] for top in tops]
    table = np.empty((len(labels), len(labels)), np.int64)
    for row in range(len(labels)):
        for column in range(row + 1):
            table[row, column] = table[column, row] = np.count_nonzero(labels[row] == labels[column])
    return table


class MemberSample:
    """The pixels on which members disagree, of many images, ready to be blended with any weights."""

    def __init__(self, observations: Sequence[Observation], spec: EnsembleSpec) -> None:
        self.pixels = PixelSample.of(observations, spec.labels)
        self._spec, self._classes = spec, choose_rule(spec.labels)
        union = [spec.labels.names.index(name) for name in spec.blend.union]
        maps = self.pixels.vectors.transpose(1, 2, 0)[:, :, None].astype(np.float32)  # (members, classes, 1, n)
        tops = [self._classes.decide(of_member, 255.0) for of_member in maps]
        rule = RULES[type(spec.blend)]
        terms = [compute_term(rule, *one, self._classes) for one in zip(maps, tops, strict=True)]
        if self._classes is OVERLAPPING:  # a class is there if its sum is at least that of its absence
            terms = [of_class - of_absence for of_class, of_absence in terms]
        self.terms = np.stack([term[:, 0] for term in terms])
        """(members, classes, n): what each member adds to the blend, before its weight. Of overlapping classes: how
        much more it adds to a class than to its absence."""
        self._says_union = np.stack([np.isin(top[0], union) for top in tops]) if union else None
        """(members, n): whether a member says one of the classes that win wherever they are said."""

    def total(self, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the weighted sum (classes, n) of the members' terms. Weights are (members,) or (members, classes)."""
        weights = weights.astype(np.float32)
        if weights.ndim == 2:
            return np.einsum("mc,mcn->cn", weights, self.terms)
        total = np.tensordot(weights, self.terms, 1)
        if self._says_union is None:
            return total
        of_union = np.einsum("m,mn,mcn->cn", weights, self._says_union, self.terms)
        is_said = (self._says_union * weights[:, None]).any(0)
        return np.where(is_said, of_union, total)

    def with_one_more(
        self, total: NDArray[np.float32], weights: NDArray[np.floating], member: int
    ) -> NDArray[np.float32]:
        """Return `total(weights)`, given the total with one `member` less.

        That is one addition, unless classes of a union win: then all terms are summed.
        """
        return total + self.terms[member] if self._says_union is None else self.total(weights)

    def counts(self, weights: NDArray[np.floating]) -> Counts:
        """Return the counts (images, classes, 3) of the blend."""
        return self.pixels.counts(self._label(self.total(weights)))

    def _label(self, total: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the labels (n,) of a weighted sum (classes, n)."""
        return self._classes.decide(total, 0.0)

    def value(self, weights: NDArray[np.floating]) -> float:
        """Return the score of the blend."""
        return self._spec.value(self.counts(weights))

    def value_of(self, total: NDArray[np.float32]) -> float:
        """Return the score of a weighted sum (classes, n)."""
        return self._spec.value(self.pixels.counts(self._label(total)))

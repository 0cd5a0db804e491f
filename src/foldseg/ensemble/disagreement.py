"""Where the members of an ensemble disagree: all that a search of weights, or a look at the members, needs to know."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import IGNORE_INDEX, Mask
from foldseg.ensemble.blend import RULES, Levels, argmax
from foldseg.ensemble.sample import Arrays, PixelSample, observed, subset
from foldseg.ensemble.scene import Scene, Target
from foldseg.scoring.counts import Counts

_LOOKED_AT = 16  # times as many pixels as may be kept are looked at, where not all are: most of them turn out certain


def observe_members(
    scene: Scene, labels: Mask, truth: Mask, most: int, per_class: bool = False
) -> dict[str, NDArray[Any]]:
    """Keep the members' probabilities where they do not have the same most probable class, and how often they agree.

    `labels` and `truth` (H, W): the blend's, and the true class indices. With `per_class` also where a weighting of
    single classes could change the blend. `most`: bytes that may be kept, about. `agreement` (members, members) are
    the pixels that two members label alike.
    """
    tops: list[NDArray[np.uint8]] = []
    vectors: list[NDArray[np.uint8]] = []
    least: Levels | None = None  # (H, W): the least that any member gives its class
    rival: Levels | None = None  # ... and the most that any gives another one
    places: NDArray[np.intp] | None = None
    for maps in scene.members():
        if places is None:
            places = subset(scene.id, truth.size, max(1, _LOOKED_AT * most // len(maps)))
        tops.append(argmax(maps))
        vectors.append((maps.reshape(len(maps), -1)[:, places] + np.float32(0.5)).astype(np.uint8))
        if per_class:
            two = np.partition(maps, -2, axis=0)[-2:] if len(maps) > 1 else np.stack([maps[0] * 0, maps[0]])
            least = two[1] if least is None else np.minimum(least, two[1])
            rival = two[0] if rival is None else np.maximum(rival, two[0])
    assert places is not None
    open_ = np.zeros(truth.shape, bool) if least is None or rival is None else least <= rival
    for top in tops[1:]:
        open_ |= top != tops[0]
    number, classes = len(tops), vectors[0].shape[0]
    stacked = np.stack(vectors).transpose(2, 0, 1)
    return {
        **observed(truth, labels, open_, places, stacked, most // (number * classes)),
        "agreement": _agreement(tops, truth),
    }


def _agreement(tops: Sequence[NDArray[np.uint8]], truth: Mask) -> NDArray[np.int64]:
    known = truth != IGNORE_INDEX
    parts = [top[known] for top in tops]
    table = np.empty((len(parts), len(parts)), np.int64)
    for i, one in enumerate(parts):
        for j in range(i + 1):
            table[i, j] = table[j, i] = np.count_nonzero(one == parts[j])
    return table


class MemberSample:
    """The pixels on which members disagree, of many images, ready to be blended with any weights."""

    def __init__(self, observations: Sequence[Arrays], target: Target) -> None:
        self.pixels = PixelSample.of(observations)
        self._target = target
        union = [target.labels.names.index(name) for name in target.blend.union]
        maps = self.pixels.vectors.transpose(1, 2, 0)[:, :, None].astype(np.float32)  # (members, classes, 1, n)
        tops = [argmax(one) for one in maps]
        term = RULES[type(target.blend)].term
        self.terms = np.stack([term(one, top)[:, 0] for one, top in zip(maps, tops, strict=True)])
        self._says = np.stack([np.isin(top[0], union) for top in tops]) if union else None
        """(members, n): does the member say one of the classes that win wherever they are said?"""

    def total(self, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """Weighted sum (classes, n) of the members' terms; weights are (members,) or (members, classes)."""
        weights = weights.astype(np.float32)
        if weights.ndim == 2:
            return np.einsum("mc,mcn->cn", weights, self.terms)
        total = np.tensordot(weights, self.terms, 1)
        if self._says is not None:
            said = np.einsum("m,mn,mcn->cn", weights, self._says, self.terms)
            total = np.where((self._says * weights[:, None]).any(0), said, total)
        return total

    def with_one_more(
        self, total: NDArray[np.float32], weights: NDArray[np.floating], member: int
    ) -> NDArray[np.float32]:
        """Return `total(weights)`, given the total of one `member` less: where that can be, without summing all."""
        return total + self.terms[member] if self._says is None else self.total(weights)

    def counts(self, weights: NDArray[np.floating]) -> Counts:
        """Counts (images, classes, 3) of the blend."""
        return self.pixels.counts(argmax(self.total(weights)))

    def value(self, weights: NDArray[np.floating]) -> float:
        """Score of the blend."""
        return self._target.value(self.counts(weights))

    def value_of(self, total: NDArray[np.float32]) -> float:
        """Score of a weighted sum (classes, n)."""
        return self._target.value(self.pixels.counts(argmax(total)))

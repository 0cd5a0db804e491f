"""The prediction of one image on its way through the line of steps, and what a step may know besides it.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Blend, ScoreName
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.ensemble.blend import Blender, Levels, Probabilities, argmax
from foldseg.inference.class_rule import EXCLUSIVE, ClassRule, choose_rule
from foldseg.inference.map_file import Quantised
from foldseg.scoring.counts import Counts, count_masks, count_prediction
from foldseg.scoring.scores import score

Params = Mapping[str, NDArray[Any]]
"""The parameters that were fitted for a step, by name."""


@dataclass(frozen=True)
class Prediction:
    """What the members, the blend or a step predict for one image.

    There are always labels: class indices or, if the classes of the label set overlap, class bits. Probabilities come
    with them as float32 or, after rounding, as quantised maps. Masks are there only if classes are exclusive, and a
    step lets their categories overlap all the same.
    """

    labels: Mask
    """(H, W) uint8 class indices, or class bits."""
    probabilities: Probabilities | None = None
    """(classes, H, W) float32, or None if there are only quantised maps. Those of exclusive classes sum to 1."""
    maps: Quantised | None = None
    """(classes, H, W) uint8, round(255 p), or None if there are only probabilities."""
    masks: NDArray[np.bool_] | None = None
    """(classes, H, W) bool: the pixels of each class. None if the labels say all."""
    rule: ClassRule = EXCLUSIVE
    """How the classes share a pixel."""

    @staticmethod
    def of_probabilities(probabilities: Probabilities, labels: LabelSet | None = None) -> "Prediction":
        """Return the prediction of probabilities (classes, H, W).

        Each pixel is of its most probable class or, if the classes of `labels` overlap, of all that are at least as
        probable as 0.5.
        """
        rule = EXCLUSIVE if labels is None else choose_rule(labels)
        return Prediction(rule.decide(probabilities), probabilities, rule=rule)

    @staticmethod
    def of_maps(maps: Quantised, labels: LabelSet | None = None) -> "Prediction":
        """Return the prediction of quantised probabilities (classes, H, W); see `of_probabilities`."""
        rule = EXCLUSIVE if labels is None else choose_rule(labels)
        return Prediction(rule.decide(maps, 255.0), maps=maps, rule=rule)

    def with_masks(self, masks: NDArray[np.bool_], labels: LabelSet) -> "Prediction":
        """Return the prediction of masks (classes, H, W) bool that may overlap.

        If the classes of the label set are exclusive, the labels are only shown.
        """
        maps = self.quantised()
        if labels.overlapping:
            return Prediction(labels.pack_planes(masks), maps=maps, rule=self.rule)
        return Prediction(flatten_masks(masks, maps, labels), maps=maps, masks=masks)

    def find_masks(self, labels: LabelSet) -> NDArray[np.bool_]:
        """Return the pixels of each class, (classes, H, W) bool."""
        return labels.class_planes(self.labels) if self.masks is None else self.masks

    def count(self, truth: Mask, labels: LabelSet) -> Counts:
        """Return the counts (classes, 3) against the true mask (H, W) uint8."""
        if self.masks is None:
            return count_prediction(truth, self.labels, labels)
        return count_masks(truth, self.masks)

    def rounded(self) -> "Prediction":
        """Return the same labels and masks with quantised maps, as a prediction store would give them back."""
        return replace(self, probabilities=None, maps=self.quantised())

    def quantised(self) -> Quantised:
        """Return round(255 p), (classes, H, W) uint8. The labels that follow of it stay the same at every pixel."""
        if self.maps is not None:
            return self.maps
        assert self.probabilities is not None
        return self.rule.quantise(self.probabilities)

    def as_probabilities(self) -> Probabilities:
        """Return probabilities (classes, H, W) float32. Those of exclusive classes sum to 1."""
        if self.probabilities is not None:
            return self.probabilities
        assert self.maps is not None
        return self.rule.restore(self.maps)


@dataclass(frozen=True)
class EnsembleSpec:
    """What is the same for all images of an ensemble: members and weights, rule of blending, classes, score."""

    members: tuple[str, ...]
    """Names, in the order in which they are blended."""
    weights: NDArray[np.float64]
    """(members,) as the configuration gives them."""
    blend: Blend
    labels: LabelSet
    """The classes that are blended."""
    score: ScoreName
    """The score that steps are fitted for."""

    def value(self, counts: NDArray[Any]) -> float:
        """Return the score of counts (images, classes, 3), or 0 where it is undefined."""
        value = score(self.score, counts, self.labels).value
        return 0.0 if np.isnan(value) else value

    def blender(self) -> Blender:
        """Return a blend to which no member has been added."""
        union = [self.labels.names.index(name) for name in self.blend.union]
        return Blender(type(self.blend), union, choose_rule(self.labels))


@dataclass(frozen=True)
class ImageContext:
    """What a step may know of an image besides its prediction."""

    id: str
    spec: EnsembleSpec
    read_picture: Callable[[], Image]
    """Returns the image, (H, W, 3) uint8 RGB."""
    read_members: Callable[[], Iterable[Levels]]
    """Yields the members' maps in their order. Large ones are read again on each call."""

    @property
    def labels(self) -> LabelSet:
        """The classes that are blended."""
        return self.spec.labels


def flatten_masks(masks: NDArray[np.bool_], maps: Quantised, labels: LabelSet) -> Mask:
    """Return one class per pixel, to look at: the most probable one whose mask has it, or the best unscored class."""
    scored = np.flatnonzero(labels.scored)
    top = argmax(np.where(masks[scored], maps[scored].astype(np.int16), np.int16(-1)))
    return np.where(masks.any(0), scored.astype(np.uint8)[top], find_best_unscored(maps, labels))


def find_best_unscored(maps: Quantised, labels: LabelSet) -> Mask:
    """Return the most probable of the classes that are not scored, or of all if all are scored: (H, W) uint8."""
    rest = np.flatnonzero(~labels.scored) if not labels.scored.all() else np.arange(len(labels))
    return rest.astype(np.uint8)[argmax(maps[rest])]

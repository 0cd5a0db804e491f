"""One probability threshold per scored class, given, or fitted on OOF with the contest's own score, exactly.

argmax is not the best submission where a class that is absent costs nothing, or categories may overlap: then every
class asks for a threshold of its own. One histogram per image and class holds the counts for every threshold, so
nothing is segmented again (`scoring/candidates.py`).

A threshold t of 1..255 takes the pixels whose probability, as round(255 p), is at least t.
"""

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import ScoreName, ThresholdStep
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction, find_best_unscored
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised
from foldseg.scoring.candidates import choose_candidates, select_candidates
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, joint_histogram
from foldseg.scoring.scores import FOR_THRESHOLDS, define_score, score

Categories = Literal["overlapping", "exclusive"]
"""How categories share pixels.

overlapping: every class that reaches its threshold takes the pixel. exclusive: only the most probable scored class may,
and if it does not, the best of the others does; so there must be others.
"""

Curves = NDArray[np.int32]
"""(scored classes, 256, 3): counts (see `foldseg.scoring.counts`) of one image for every threshold."""
Thresholds = NDArray[np.uint8]
"""(scored classes,), each 1..255."""


class ThresholdOperation(Operation[ThresholdStep]):
    """Give each pixel the scored classes whose probability reaches a fitted threshold."""

    def check(self, config: Ensemble, labels: LabelSet) -> None:
        """Raise FoldsegError unless the score is of the scored classes alone, and there is a class for pixels below."""
        if self.is_fitted:
            check_score_can_be_fitted(self.settings.kind, config.score, labels)
        if labels.overlapping and self.settings.categories != "overlapping":
            raise FoldsegError(
                "steps.thresholds.categories: the classes of this label set overlap; use categories: overlapping"
            )
        if self.settings.categories not in possible_categories(labels):
            raise FoldsegError(
                "steps.thresholds.categories: exclusive gives pixels below the threshold to a class that is not "
                f"scored, and all of {', '.join(labels.names)} are scored"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether thresholds are not given."""
        return self.settings.values is None

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Give every pixel the categories that reach their thresholds."""
        maps, labels = prediction.quantised(), context.labels
        thresholds = self._given_thresholds(labels) if params is None else params["thresholds"]
        if self.settings.categories == "overlapping":
            return prediction.with_masks(threshold_masks(maps, thresholds, labels), labels)
        return Prediction(threshold_labels(maps, thresholds, labels), maps=maps)

    def _given_thresholds(self, labels: LabelSet) -> Thresholds:
        """Return the thresholds of the settings; 0.5 for classes that they do not name."""
        values = self.settings.values
        assert values is not None
        names = [label.name for label in labels.classes if label.scored]
        given = [values.get(name, 0.5) if isinstance(values, dict) else values for name in names]
        return np.maximum(to_levels(given), 1)

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Count at every threshold, for each kind of categories that is possible: score.json compares them."""
        maps, labels = prediction.quantised(), context.labels
        return {kind: count_at_thresholds(truth, maps, labels, kind) for kind in possible_categories(labels)}

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Return the thresholds of the highest score."""
        images = np.stack([observation[self.settings.categories] for observation in observations])
        return {"thresholds": find_best_thresholds(spec.score, images, spec.labels)}

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return scored class -> least probability."""
        names = [label_class.name for label_class in spec.labels.classes if label_class.scored]
        return dict(zip(names, (params["thresholds"] / 255).round(4).tolist(), strict=True))

    def compare_alternatives(
        self, observations: Sequence[Observation], parts: NDArray[np.intp], before: Counts, spec: EnsembleSpec
    ) -> dict[str, Any]:
        """Compare both kinds of categories: scores on OOF, and thresholds as probabilities.

        Scores are those of argmax (`before`), of thresholds where they were fitted (too good), and nested: each of the
        `parts` is scored with what was fitted on the others.
        """
        labels = spec.labels
        table: dict[str, Any] = {}
        for kind in possible_categories(labels):
            images = np.stack([observation[kind] for observation in observations])
            on_all = find_best_thresholds(spec.score, images, spec.labels)
            nested = np.empty(images.shape[:2], np.uint8)
            for part in np.unique(parts):
                nested[parts == part] = find_best_thresholds(spec.score, images[parts != part], labels)
            table[kind] = {
                "argmax": score(spec.score, before, labels).value,
                "same_oof": score(spec.score, select_candidates(images, on_all, labels), labels).value,
                "nested": score(spec.score, select_candidates(images, nested, labels), labels).value,
                "thresholds": self.describe({"thresholds": on_all}, spec),
            }
        return {"categories": table}


def possible_categories(labels: LabelSet) -> tuple[Categories, ...]:
    """Return the kinds of categories that are possible: exclusive needs a class that is not scored."""
    needs_no_rest = labels.scored.all() or labels.overlapping
    return ("overlapping",) if needs_no_rest else ("overlapping", "exclusive")


def check_score_can_be_fitted(step: str, name: ScoreName, labels: LabelSet) -> None:
    """Raise FoldsegError if what is fitted per scored class would not be measured by the score."""
    definition = define_score(name)
    if definition.counts_excess and (definition.classes == "scored" or labels.scored.all()):
        return
    reason = (
        "depends on classes that are not scored, which have no threshold"
        if definition.counts_excess
        else "does not fall if a class is predicted for too many pixels"
    )
    raise FoldsegError(
        f"steps.{step} cannot be fitted for score {name}, which {reason}; use one of {', '.join(FOR_THRESHOLDS)}"
    )


def to_levels(probabilities: Sequence[float]) -> NDArray[np.uint8]:
    """Return round(255 p) of probabilities, uint8."""
    return np.floor(255 * np.asarray(probabilities) + 0.5).astype(np.uint8)


def count_at_thresholds(truth: Mask, maps: Quantised, labels: LabelSet, categories: Categories) -> Curves:
    """Return the counts of one image at all 256 thresholds of every scored class.

    truth (H, W) uint8 class indices or class bits, void 255; maps (classes, H, W) uint8 = round(255 p).
    """
    if labels.overlapping:
        return np.stack(
            [_count_plane(truth, maps[i], labels.values_of_classes[i]) for i in np.flatnonzero(labels.scored)]
        )
    scored = np.flatnonzero(labels.scored)
    number = len(scored)
    row_of = np.full(256, number, np.uint8)  # rows of the histograms: the scored classes, all others, void
    row_of[scored] = np.arange(number)
    row_of[IGNORE_INDEX] = number + 1
    rows = np.asarray(cv2.LUT(truth, row_of), np.uint8)
    if categories == "overlapping":
        tables = np.stack([joint_histogram([rows, maps[index]], [number + 2, 256]) for index in scored])
    else:
        top, value = _find_top(maps[scored])
        tables = joint_histogram([top, rows, value], [number, number + 2, 256])
    own = tables[np.arange(number), np.arange(number)]
    result = np.empty((number, 256, 3), np.int32)
    result[..., SHARED] = _sum_from_above(own)
    result[..., TRUTH] = np.bincount(rows.ravel(), minlength=number)[:number, None]
    result[..., PREDICTION] = _sum_from_above(tables[:, : number + 1].sum(1))
    return result


def _count_plane(truth: Mask, plane: Quantised, values: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the counts (256, 3) of an overlapping class, which is at those `values` (256,) of the truth."""
    row_of = values.astype(np.uint8)
    row_of[IGNORE_INDEX] = 2
    table = joint_histogram([np.asarray(cv2.LUT(truth, row_of), np.uint8), plane], [3, 256])
    result = np.empty((256, 3), np.int32)
    result[:, SHARED] = _sum_from_above(table[1])
    result[:, TRUTH] = table[1].sum()
    result[:, PREDICTION] = _sum_from_above(table[:2].sum(0))
    return result


def _sum_from_above(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn (..., 256) pixels of each value into pixels of at least that value."""
    return histogram[..., ::-1].cumsum(-1)[..., ::-1]


def _find_top(maps: Quantised) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the class that is largest at every pixel of (classes, H, W), and its value, (H, W) each."""
    return argmax(maps), maps.max(0)


def find_best_thresholds(name: ScoreName, curves: NDArray[np.int32], labels: LabelSet) -> Thresholds:
    """Return the thresholds of the highest score of a set of images, whose `curves` are stacked.

    The result is exact for scores with a term per class; see `choose_candidates`. Of thresholds that are equally good,
    the middle one is taken. If no truth has a class, a score of images with this class in their truth gives it the
    threshold 128, and a score of the set gives it one that predicts none of it.
    """
    return (choose_candidates(name, curves[:, :, 1:], labels) + 1).astype(np.uint8)


def threshold_masks(maps: Quantised, thresholds: Thresholds, labels: LabelSet) -> NDArray[np.bool_]:
    """Return overlapping categories, (classes, H, W) bool.

    Classes that are not scored are nowhere or, if the classes of the label set overlap, where they are from 0.5 on.
    """
    masks = maps >= 128 if labels.overlapping else np.zeros(maps.shape, bool)
    for index, threshold in zip(np.flatnonzero(labels.scored), thresholds, strict=True):
        np.greater_equal(maps[index], threshold, out=masks[index])
    return masks


def threshold_labels(maps: Quantised, thresholds: Thresholds, labels: LabelSet) -> Mask:
    """Return exclusive categories, (H, W) uint8 class indices."""
    scored = np.flatnonzero(labels.scored)
    top, value = _find_top(maps[scored])
    accepted = value >= thresholds[top]
    return np.where(accepted, scored.astype(np.uint8)[top], find_best_unscored(maps, labels))

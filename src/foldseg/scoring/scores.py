"""Scores by name. Each is a function of counts (see `counts.py`), so it can be summed, weighted and bootstrapped.

A score of one's own is named by its file and function, `my_scores.py:my_score`, see `own_score.py`.

| name | mean over | a class that is absent |
| --- | --- | --- |
| dataset_miou | all classes, of the IoU over the whole set | in truth and prediction: left out; in the truth only: 0 |
| dataset_miou_scored | the scored classes, likewise | likewise |
| dataset_mean_dice | all classes, of the Dice coefficient over the whole set | likewise |
| dataset_mean_dice_scored | the scored classes, likewise; it is also F1 | likewise |
| dataset_mean_f05_scored, dataset_mean_f2_scored | the scored classes, of F-beta over the whole set | likewise |
| image_mean_iou_present | images, of the mean IoU of the scored classes in its truth | in that truth: left out |
| image_mean_dice | images and scored classes, of the Dice coefficient | in truth and prediction: 1; in one: 0 |
| image_mean_iou | images and scored classes, of the IoU | likewise |
| image_mean_precision | images and scored classes, of the share of 10 IoU thresholds that are passed | likewise |
| pixel_accuracy | pixels; undefined if classes overlap | |

Void pixels of the truth count nowhere. `image_mean_iou_present` is the score of SIGNATE's AI Edge Contest 1: a class
that is predicted where the truth has none costs nothing, a class that is missed scores 0, and an image without any
scored class in its truth is left out. `image_mean_dice` is that of Kaggle's run-length contests, `image_mean_precision`
that of its TGS contest. Scores of objects (Airbus) and of distances (UW-Madison) are no functions of these counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import ScoreName, is_own_score
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.class_values import (
    DICE_OF_IMAGES,
    DICE_OF_SET,
    F05_OF_SET,
    F2_OF_SET,
    IOU_OF_IMAGES,
    IOU_OF_SET,
    PRECISION_OF_IMAGES,
    PRESENT_IOU_OF_IMAGES,
    ClassValue,
    present_iou,
)
from foldseg.scoring.counts import SHARED, TRUTH, Counts
from foldseg.scoring.intervals import Floats, Ratios, Resampled, nanmean, resample
from foldseg.scoring.own_score import load_own_score
from foldseg.scoring.score_definition import ScoreDefinition


@dataclass(frozen=True)
class Score:
    """The value of a score in 0..1 (NaN where it is undefined), and a value per class (NaN: the class is left out).

    What the value per class is, the definition of the score says (`ScoreDefinition.class_value`).
    """

    name: str
    value: float
    per_class: dict[str, float]


def _image_mean_iou_present(counts: Counts, labels: LabelSet) -> Ratios:
    """Return the mean over images of the mean IoU over the scored classes in the truth, a term per scored class.

    So that each class has a term of its own, an image's IoU is divided by the number of its classes.
    """
    values = present_iou(counts[:, labels.scored])
    is_present = ~np.isnan(values)
    present = is_present.sum(1, keepdims=True)
    share = values.shape[1] / np.maximum(present, 1)
    return Ratios(np.nan_to_num(values) * share, np.broadcast_to(present > 0, values.shape).astype(np.float64))


def _pixel_accuracy(counts: Counts, labels: LabelSet) -> Ratios:
    """Return the share of right pixels. Where classes overlap, pixels are right for some classes only: undefined."""
    total = counts.sum(1, keepdims=True).astype(np.float64) * (not labels.overlapping)
    return Ratios(total[..., SHARED], total[..., TRUTH])


def _mean_over_scored(value: ClassValue, if_both_empty: Literal["left_out", "right"] = "left_out") -> ScoreDefinition:
    """Define the mean over the scored classes of a value that each has by itself."""

    def ratios(counts: Counts, labels: LabelSet) -> Ratios:
        return value.ratios(counts[:, labels.scored])

    return ScoreDefinition(ratios, value, "scored", has_term_per_class=True, if_both_empty=if_both_empty)


def _mean_over_all(value: ClassValue) -> ScoreDefinition:
    """Define the mean over all classes of a value that each has by itself."""
    return ScoreDefinition(lambda counts, _: value.ratios(counts), value, "all", has_term_per_class=True)


SCORES: dict[ScoreName, ScoreDefinition] = {
    "dataset_miou": _mean_over_all(IOU_OF_SET),
    "dataset_miou_scored": _mean_over_scored(IOU_OF_SET),
    "dataset_mean_dice": _mean_over_all(DICE_OF_SET),
    "dataset_mean_dice_scored": _mean_over_scored(DICE_OF_SET),
    "dataset_mean_f05_scored": _mean_over_scored(F05_OF_SET),
    "dataset_mean_f2_scored": _mean_over_scored(F2_OF_SET),
    "image_mean_iou_present": ScoreDefinition(
        _image_mean_iou_present, PRESENT_IOU_OF_IMAGES, "scored", has_term_per_class=True
    ),
    "image_mean_dice": _mean_over_scored(DICE_OF_IMAGES, if_both_empty="right"),
    "image_mean_iou": _mean_over_scored(IOU_OF_IMAGES, if_both_empty="right"),
    "image_mean_precision": _mean_over_scored(PRECISION_OF_IMAGES, if_both_empty="right"),
    "pixel_accuracy": ScoreDefinition(_pixel_accuracy, IOU_OF_SET, "all", counts_excess=False),
}
check_entries(SCORES, ScoreName, "scoring/scores.py: SCORES")

OF_SCORED_CLASSES = tuple(name for name, definition in SCORES.items() if definition.classes == "scored")
"""The scores that depend on the scored classes only."""

FOR_THRESHOLDS = tuple(name for name in OF_SCORED_CLASSES if SCORES[name].counts_excess)
"""The scores for which thresholds can be fitted, whatever the label set."""


def define_score(name: ScoreName) -> ScoreDefinition:
    """Return the definition of a score of `SCORES`, or of one's own. FoldsegError if one's own is not valid."""
    return load_own_score(name, IOU_OF_SET) if is_own_score(name) else SCORES[name]


def list_scores(*names: str) -> list[ScoreName]:
    """Return the names of `SCORES`, and those of `names` that are scores of one's own."""
    return [*SCORES, *_only_own(names)]


def list_scores_of_scored_classes(*names: str) -> list[ScoreName]:
    """Return those of `list_scores` that depend on the scored classes only."""
    return [name for name in list_scores(*names) if define_score(name).classes == "scored"]


def _only_own(names: Iterable[str]) -> list[ScoreName]:
    return [cast(ScoreName, name) for name in dict.fromkeys(names) if is_own_score(name)]


def check_score(name: ScoreName, labels: LabelSet, key: str) -> None:
    """Raise FoldsegError, which begins with `key`, if a score cannot be computed.

    A score of one's own may not be valid. A score of the scored classes needs one of them.
    """
    try:
        definition = define_score(name)
    except FoldsegError as error:
        raise FoldsegError(f"{key}: {error}") from None
    if definition.classes == "scored" and not labels.scored.any():
        raise FoldsegError(f"{key}: {name} needs a scored class; of {', '.join(labels.names)} none is scored")


def image_scores(counts: Counts, labels: LabelSet) -> Floats:
    """Return each image's mean IoU of the scored classes in its truth, (images,). NaN if it has none of them.

    `counts`: (images, classes, 3).
    """
    return nanmean(present_iou(counts[:, labels.scored]), -1)


def class_ratios(name: ScoreName, counts: Counts) -> Ratios:
    """Return what is summed over images for each class's own value (`Score.per_class`), a term per class."""
    return define_score(name).class_value.ratios(counts)


def score(name: ScoreName, counts: Counts, labels: LabelSet) -> Score:
    """Score the counts (images, classes, 3) of a set of images."""
    ones = np.ones((1, len(counts)))
    value = define_score(name).ratios(counts, labels).values(ones)[0]
    per_class = class_ratios(name, counts).terms(ones)[0]
    return Score(name, float(value), dict(zip(labels.names, per_class.tolist(), strict=True)))


def bootstrap(
    name: ScoreName,
    counts: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> Resampled:
    """Resample a score of images by their groups (images,); see `foldseg.scoring.intervals.resample`."""
    return resample(define_score(name).ratios(counts, labels), groups, samples, seed)


def bootstrap_classes(
    name: ScoreName,
    counts: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Resample every class's value (`Score.per_class`) by the groups that have the class."""
    ratios = class_ratios(name, counts)
    return {name: resample(ratios.term(index), groups, samples, seed) for index, name in enumerate(labels.names)}

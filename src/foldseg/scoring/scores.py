"""Scores by name. Each is a function of counts (see `counts.py`), so it can be summed, weighted and bootstrapped.

| name | mean over | a class that is absent |
| --- | --- | --- |
| dataset_miou | all classes, of the IoU over the whole set | in truth and prediction: left out; in the truth only: 0 |
| dataset_miou_scored | the scored classes, likewise | likewise |
| dataset_mean_dice | all classes, of the Dice coefficient over the whole set | likewise |
| image_mean_iou_present | images, of the mean IoU of the scored classes in its truth | in that truth: left out |
| pixel_accuracy | pixels; undefined if classes overlap | |

Void pixels of the truth count nowhere. `image_mean_iou_present` is the score of SIGNATE's AI Edge Contest 1: a class
that is predicted where the truth has none costs nothing, a class that is missed scores 0, and an image without any
scored class in its truth is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts
from foldseg.scoring.intervals import Floats, Ratios, Resampled, nanmean, resample


@dataclass(frozen=True)
class Score:
    """The value of a score in 0..1 (NaN where it is undefined), and a value per class (NaN: the class is left out).

    What the value per class is, the definition of the score says (`ScoreDefinition.class_value`).
    """

    name: str
    value: float
    per_class: dict[str, float]


def iou(counts: Counts | Floats) -> Floats:
    """Return the IoU (...) in 0..1 of counts (..., 3). NaN where neither truth nor prediction has a pixel."""
    shared, truth, predicted = (counts[..., i].astype(np.float64) for i in (SHARED, TRUTH, PREDICTION))
    union = truth + predicted - shared
    return np.divide(shared, union, out=np.full(shared.shape, np.nan), where=union > 0)


def present_iou(counts: Counts) -> Floats:
    """Return the IoU (...) in 0..1 of counts (..., 3). NaN where the truth has no pixel."""
    return np.where(counts[..., TRUTH] > 0, iou(counts), np.nan)


def _dataset_miou(counts: Counts, labels: LabelSet) -> Ratios:
    return _class_ious(counts)


def _dataset_miou_scored(counts: Counts, labels: LabelSet) -> Ratios:
    return _class_ious(counts[:, labels.scored])


def _class_ious(counts: Counts) -> Ratios:
    """Return the IoU over the whole set, a term per class."""
    union = counts[..., TRUTH] + counts[..., PREDICTION] - counts[..., SHARED]
    return Ratios(counts[..., SHARED].astype(np.float64), union.astype(np.float64))


def _dataset_mean_dice(counts: Counts, labels: LabelSet) -> Ratios:
    return _class_dices(counts)


def _class_dices(counts: Counts) -> Ratios:
    """Return the Dice coefficient over the whole set, a term per class: 2 shared / (truth + prediction)."""
    areas = counts[..., TRUTH] + counts[..., PREDICTION]
    return Ratios(2 * counts[..., SHARED].astype(np.float64), areas.astype(np.float64))


def _image_mean_iou_present(counts: Counts, labels: LabelSet) -> Ratios:
    return _mean_over_images(image_scores(counts, labels)[:, None])


def _present_ious(counts: Counts) -> Ratios:
    """Return the mean IoU over images whose truth has the class, a term per class."""
    return _mean_over_images(present_iou(counts))


def _mean_over_images(values: Floats) -> Ratios:
    """Return the mean over images of those values (images, terms) that are not NaN."""
    return Ratios(np.nan_to_num(values), (~np.isnan(values)).astype(np.float64))


def _pixel_accuracy(counts: Counts, labels: LabelSet) -> Ratios:
    """Return the share of right pixels. Where classes overlap, pixels are right for some classes only: undefined."""
    total = counts.sum(1, keepdims=True).astype(np.float64) * (not labels.overlapping)
    return Ratios(total[..., SHARED], total[..., TRUTH])


@dataclass(frozen=True)
class ClassValue:
    """A value that each class has by itself, whatever the others are."""

    name: str
    ratios: Callable[[Counts], Ratios]
    """What is summed over images, a term per class: a function of counts (images, classes, 3)."""


IOU_OF_SET = ClassValue("IoU", _class_ious)
IOU_OF_IMAGES = ClassValue("mean IoU of images", _present_ious)
DICE_OF_SET = ClassValue("Dice coefficient", _class_dices)


@dataclass(frozen=True)
class ScoreDefinition:
    """How a score is computed, and what other code needs to know about it.

    A score is a mean of ratios of sums over images (see `intervals.Ratios`): then it has intervals.
    """

    ratios: Callable[[Counts, LabelSet], Ratios]
    """What is summed over images, a function of counts (images, classes, 3) and their label set."""
    class_value: ClassValue
    """The value that each class has by itself. It is shown beside the score."""
    classes: Literal["all", "scored"]
    """The classes that the score depends on."""
    mean_iou_of: Literal["set", "images"] | None
    """"set": the score is the mean over classes of the IoU over the whole set. "images": it is the mean over images and
    the classes in their truth. None: it is neither; then thresholds cannot be fitted for it."""


SCORES: dict[ScoreName, ScoreDefinition] = {
    "dataset_miou": ScoreDefinition(_dataset_miou, IOU_OF_SET, "all", "set"),
    "dataset_miou_scored": ScoreDefinition(_dataset_miou_scored, IOU_OF_SET, "scored", "set"),
    "dataset_mean_dice": ScoreDefinition(_dataset_mean_dice, DICE_OF_SET, "all", None),
    "image_mean_iou_present": ScoreDefinition(_image_mean_iou_present, IOU_OF_IMAGES, "scored", "images"),
    "pixel_accuracy": ScoreDefinition(_pixel_accuracy, IOU_OF_SET, "all", None),
}
check_entries(SCORES, ScoreName, "scoring/scores.py: SCORES")

OF_SCORED_CLASSES = tuple(name for name, definition in SCORES.items() if definition.classes == "scored")
"""The scores that depend on the scored classes only."""

FOR_THRESHOLDS = tuple(name for name in OF_SCORED_CLASSES if SCORES[name].mean_iou_of)
"""The scores for which thresholds can be fitted, whatever the label set."""


def check_score(name: ScoreName, labels: LabelSet, key: str) -> None:
    """Raise FoldsegError, which begins with `key`, if a score depends on scored classes and the label set has none."""
    if name in OF_SCORED_CLASSES and not labels.scored.any():
        raise FoldsegError(f"{key}: {name} needs a scored class; of {', '.join(labels.names)} none is scored")


def image_scores(counts: Counts, labels: LabelSet) -> Floats:
    """Return each image's mean IoU of the scored classes in its truth, (images,). NaN if it has none of them.

    `counts`: (images, classes, 3).
    """
    return nanmean(present_iou(counts[:, labels.scored]), -1)


def class_ratios(name: ScoreName, counts: Counts) -> Ratios:
    """Return what is summed over images for each class's own value (`Score.per_class`), a term per class."""
    return SCORES[name].class_value.ratios(counts)


def score(name: ScoreName, counts: Counts, labels: LabelSet) -> Score:
    """Score the counts (images, classes, 3) of a set of images."""
    ones = np.ones((1, len(counts)))
    value = SCORES[name].ratios(counts, labels).values(ones)[0]
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
    return resample(SCORES[name].ratios(counts, labels), groups, samples, seed)


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

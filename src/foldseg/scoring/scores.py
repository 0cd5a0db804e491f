"""Scores by name. Each is a function of counts (see `counts`), so each can be summed, weighted and bootstrapped.

| name | mean over | a class that is absent |
| --- | --- | --- |
| dataset_miou | all classes, of the IoU over the whole set | in truth and prediction: left out; in the truth only: 0 |
| dataset_miou_scored | the scored classes, likewise | likewise |
| image_mean_iou_present | images, of the mean IoU of the scored classes in its truth | in that truth: left out |
| pixel_accuracy | pixels | |

Void pixels of the truth count nowhere. `image_mean_iou_present` is the score of SIGNATE's AI Edge Contest 1: a class
predicted where the truth has none costs nothing, one that is missed scores 0, and an image without any scored class
in its truth is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A score: its name, its value in 0..1 (NaN where undefined), and one value per class (NaN: class left out)."""

    name: str
    value: float
    per_class: dict[str, float]


def iou(counts: Counts | Floats) -> Floats:
    """(..., 3) counts -> intersection over union in 0..1; NaN where neither truth nor prediction has a pixel."""
    shared, truth, predicted = (counts[..., i].astype(np.float64) for i in (SHARED, TRUTH, PREDICTION))
    union = truth + predicted - shared
    return np.divide(shared, union, out=np.full(shared.shape, np.nan), where=union > 0)


def present_iou(counts: Counts) -> Floats:
    """(..., 3) counts -> IoU in 0..1; NaN where the truth has no pixel."""
    return np.where(counts[..., TRUTH] > 0, iou(counts), np.nan)


def _nanmean(values: Floats, axis: int) -> Floats:
    """Mean of what is not NaN; NaN, without a warning, where all is."""
    known = ~np.isnan(values)
    number = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def _weighted_sum(counts: Counts, weights: Floats) -> Floats:
    """(images, classes, 3) and (trials, images) -> (trials, classes, 3)."""
    return (weights @ counts.reshape(len(counts), -1)).reshape(len(weights), *counts.shape[1:])


def _dataset_miou(counts: Counts, labels: LabelSet, weights: Floats) -> Floats:
    return _nanmean(iou(_weighted_sum(counts, weights)), -1)


def _dataset_miou_scored(counts: Counts, labels: LabelSet, weights: Floats) -> Floats:
    return _nanmean(iou(_weighted_sum(counts[:, labels.scored], weights)), -1)


def _image_mean_iou_present(counts: Counts, labels: LabelSet, weights: Floats) -> Floats:
    per_image = image_scores(counts, labels)
    known = ~np.isnan(per_image)
    total, number = weights[:, known] @ per_image[known], weights[:, known].sum(1)
    return np.divide(total, number, out=np.full(len(weights), np.nan), where=number > 0)


def _pixel_accuracy(counts: Counts, labels: LabelSet, weights: Floats) -> Floats:
    total = _weighted_sum(counts, weights).sum(1)
    return np.divide(total[:, SHARED], total[:, TRUTH], out=np.full(len(total), np.nan), where=total[:, TRUTH] > 0)


@dataclass(frozen=True)
class ScoreDefinition:
    """How a score is computed, and what else depends on which it is.

    `compute` maps counts (images, classes, 3), their label set and weights (trials, images) to (trials,) scores.
    """

    compute: Callable[[Counts, LabelSet, Floats], Floats]
    classes: Literal["all", "scored"]
    mean_iou_of: Literal["set", "images"] | None  # a mean over classes of IoUs over the whole set, or image by image


SCORES: dict[ScoreName, ScoreDefinition] = {
    "dataset_miou": ScoreDefinition(_dataset_miou, "all", "set"),
    "dataset_miou_scored": ScoreDefinition(_dataset_miou_scored, "scored", "set"),
    "image_mean_iou_present": ScoreDefinition(_image_mean_iou_present, "scored", "images"),
    "pixel_accuracy": ScoreDefinition(_pixel_accuracy, "all", None),
}

OF_SCORED_CLASSES = tuple(name for name, definition in SCORES.items() if definition.classes == "scored")
"""The scores that only the scored classes enter."""


def check_score(name: ScoreName, labels: LabelSet, key: str) -> None:
    """FoldsegError, beginning with `key`, when a score is of scored classes and the label set has none."""
    if name in OF_SCORED_CLASSES and not labels.scored.any():
        raise FoldsegError(f"{key}: {name} needs a scored class; of {', '.join(labels.names)} none is scored")


def image_scores(counts: Counts, labels: LabelSet) -> Floats:
    """(images, classes, 3) -> (images,): mean IoU of the scored classes in the image's truth; NaN if it has none."""
    return _nanmean(present_iou(counts[:, labels.scored]), -1)


def score(name: ScoreName, counts: Counts, labels: LabelSet) -> Score:
    """Score the counts (images, classes, 3) of a set of images."""
    value = SCORES[name].compute(counts, labels, np.ones((1, len(counts))))[0]
    per_class = _nanmean(present_iou(counts), 0) if SCORES[name].mean_iou_of == "images" else iou(counts.sum(0))
    return Score(name, float(value), dict(zip(labels.names, per_class.tolist(), strict=True)))


def bootstrap(
    name: ScoreName,
    counts: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int,
    seed: int = 0,
) -> Floats:
    """Return (samples,) scores of sets that are drawn, with replacement, from the groups of the images.

    Groups, not images, are drawn because neighbouring frames are nearly the same picture: images would promise an
    interval that is too narrow (cluster bootstrap; Davison and Hinkley, 1997, section 3.8).
    """
    _, group_of_image = np.unique(groups, return_inverse=True)
    number = int(group_of_image.max()) + 1
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(number, np.full(number, 1 / number), size=samples)
    chunks = [
        SCORES[name].compute(counts, labels, part[:, group_of_image].astype(np.float64)) for part in _chunks(draws)
    ]
    return np.concatenate(chunks)


def interval(trials: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap scores: (low, high)."""
    low, high = np.nanquantile(trials, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _chunks(draws: NDArray[np.int64], rows: int = 256) -> list[NDArray[np.int64]]:
    return [draws[start : start + rows] for start in range(0, len(draws), rows)]

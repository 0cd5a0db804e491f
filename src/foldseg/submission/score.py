"""Scoring a submission against the truth, as the contest would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Data
from foldseg.config.schema import ScoreName
from foldseg.data.datasets import label_set, load_samples
from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.reading import image_size, read_mask
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.scores import OF_SCORED_CLASSES, SCORES, Score, score
from foldseg.submission import signate_json
from foldseg.submission.formats import AnyMasks, Sizes, check_ids, format_of


@dataclass(frozen=True)
class Truth:
    """Which images there are, and a function from an id to the right masks."""

    sizes: Sizes
    read: Callable[[str], AnyMasks]


def score_submission(prediction: Path, data: Data, truth: Path | None = None) -> dict[ScoreName, Score]:
    """Score a submission against `truth` (a submission of the truth) or the masks of the data set.

    Returns every score, or those of scored classes alone where a file is an AI Edge JSON, which holds no others.

    With the data set's masks, all images of the splits that the submission speaks of are expected. FoldsegError when
    the submission is not valid or not complete.
    """
    labels = label_set(data)
    right = _truth_of_data(data, prediction) if truth is None else _truth_of_file(truth, prediction, labels)
    check_ids(prediction, right.sizes)
    given = format_of(prediction).reader(prediction, labels, right.sizes)

    def count(name: str) -> Counts:
        masks = given(name)
        if masks.ndim == 2 and (masks == IGNORE_INDEX).any():
            raise FoldsegError(f"{prediction}: {name}.png holds void pixels; a prediction gives every pixel a class")
        return count_any(right.read(name), masks, len(labels))

    counts = np.stack([count(name) for name in right.sizes])
    scores = {name: score(name, counts, labels) for name in SCORES}
    if signate_json in (format_of(prediction), truth and format_of(truth)):
        return {name: _only_scored(scores[name], labels) for name in OF_SCORED_CLASSES}
    return scores


def _only_scored(whole: Score, labels: LabelSet) -> Score:
    """The AI Edge JSON cannot hold the other classes; without this they would count as missed."""
    per_class = {c.name: whole.per_class[c.name] for c in labels.classes if c.scored}
    return Score(whole.name, whole.value, per_class)


def count_any(truth: AnyMasks, prediction: AnyMasks, classes: int) -> Counts:
    """Counts (classes, 3) of one image from class indices (H, W), or from masks (classes, H, W) that may overlap."""
    if truth.ndim == 2 and prediction.ndim == 2:
        return count_pixels(truth.astype(np.uint8), prediction.astype(np.uint8), classes)
    right, given = _as_masks(truth, classes), _as_masks(prediction, classes)
    if truth.ndim == 2:
        given = given & (truth != IGNORE_INDEX)
    return np.stack([(right & given).sum((1, 2)), right.sum((1, 2)), given.sum((1, 2))], -1)


def _as_masks(masks: AnyMasks, classes: int) -> NDArray[np.bool_]:
    return masks.astype(bool) if masks.ndim == 3 else masks[None] == np.arange(classes, dtype=np.uint8)[:, None, None]


def _truth_of_data(data: Data, prediction: Path) -> Truth:
    table = load_samples(data)
    names = format_of(prediction).names(prediction)
    known = table[table["id"].isin(names)]
    expected = table[table["split"].isin(known["split"].unique()) & (table["mask"] != "")].sort_values("id")
    if expected.empty:
        raise FoldsegError(
            f"{prediction}: none of its images ({shorten(names, 2)}) has a mask in {data.root}; "
            "give the truth as a submission of its own"
        )
    sizes = {str(row.id): image_size(data.root / str(row.mask)) for row in expected.itertuples()}
    labels, masks = label_set(data), dict(zip(expected["id"], expected["mask"], strict=True))
    return Truth(sizes, lambda name: read_mask(data.root / masks[name], labels))


def _truth_of_file(truth: Path, prediction: Path, labels: LabelSet) -> Truth:
    sizes = _extents(truth)
    for name, (height, width) in _extents(prediction).items() if format_of(truth) is signate_json else ():
        if name in sizes:
            sizes[name] = (max(height, sizes[name][0]), max(width, sizes[name][1]))
    return Truth(sizes, format_of(truth).reader(truth, labels, sizes))


def _extents(path: Path) -> Sizes:
    if format_of(path) is signate_json:
        return signate_json.extents(path)
    return {file.stem: image_size(file) for file in sorted(path.glob("*.png"))}

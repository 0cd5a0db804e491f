"""Scoring a submission against the truth, as the contest would."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from foldseg.config.schema import Pictures, ScoreName
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.data.reading import read_mask
from foldseg.data.rle import EMPTY_RLE, Rle, encode_classes
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.scoring.counts import PREDICTION, SHARED, Counts, count_pixels, count_rles
from foldseg.scoring.scores import OF_SCORED_CLASSES, SCORES, Score, image_scores, present_iou, score
from foldseg.submission.format import Size
from foldseg.submission.formats import format_of, missing_ids, open_submission
from foldseg.submission.sizes import check_given_size

logger = logging.getLogger(__name__)

AnyMasks = Mask | list[Rle]


@dataclass(frozen=True)
class CountedSubmission:
    """What scoring needs to know of a submission, image by image."""

    labels: LabelSet
    ids: list[str]
    counts: Counts  # (images, classes, 3), see foldseg.scoring.counts
    missing: list[str]  # ids that the submission lacks: nothing is predicted there
    only_scored: bool  # the other classes are not in the file

    @property
    def scores(self) -> dict[ScoreName, Score]:
        """Every score, or those of scored classes alone where a file holds no others."""
        if not self.only_scored:
            return {name: score(name, self.counts, self.labels) for name in SCORES}
        scores = {name: score(name, self.counts, self.labels) for name in OF_SCORED_CLASSES}
        scored = [c.name for c in self.labels.classes if c.scored]
        return {
            name: Score(name, whole.value, {category: whole.per_class[category] for category in scored})
            for name, whole in scores.items()
        }

    @property
    def without_category(self) -> list[str]:
        """Ids of images whose truth has no scored class: `image_mean_iou_present` leaves them out."""
        return [name for name, value in zip(self.ids, self.per_image["score"], strict=True) if np.isnan(value)]

    @property
    def per_image(self) -> pd.DataFrame:
        """One row per image: `id`, its `score` (mean over scored classes in its truth), and the IoU of each of them.

        0..1; NaN where the truth of the image does not have the class, or any.
        """
        values = present_iou(self.counts)[:, self.labels.scored]
        names = [c.name for c in self.labels.classes if c.scored]
        table = pd.DataFrame(values, columns=names)
        table.insert(0, "id", self.ids)
        table.insert(1, "score", image_scores(self.counts, self.labels))
        return table

    def write_per_image(self, path: Path) -> None:
        """Write `per_image` as a CSV, every digit of it."""
        write_text(path, self.per_image.to_csv(index=False, lineterminator="\n"))


def score_submission(
    prediction: Path, data: DataSet, truth: Path | None = None, allow_missing: bool = False, size: Size = None
) -> dict[ScoreName, Score]:
    """Score a submission; see `count_submission` for the arguments and errors."""
    return count_submission(prediction, data, truth, allow_missing, size).scores


def count_submission(
    prediction: Path, data: DataSet, truth: Path | None = None, allow_missing: bool = False, size: Size = None
) -> CountedSubmission:
    """Count a submission against `truth` (a submission of the truth) or the masks of the data set.

    With the data set's masks, all images of the splits that the submission speaks of are expected. Sizes are those of
    images and masks at hand; where there are none, `size` (height, width) is, and without it nothing is checked against
    a size, which is said. FoldsegError when a submission is not valid or, unless `allow_missing`, not complete, when
    there are no images, and when `size` is not that of an image at hand.
    """
    labels = data.labels
    given = open_submission(prediction, labels)
    right = _MasksOfData.of(data, prediction, given.names) if truth is None else open_submission(truth, labels)
    ids = right.names
    if not ids:
        raise FoldsegError(f"{truth}: holds no images")
    missing = set(missing_ids(prediction, given.names, ids, allow_missing))
    images = data.images if truth is not None and data.root.exists() else {}
    unknown: list[str] = []

    def count(name: str) -> Counts:
        known = data.size_of(name) if name in images else None
        masks = right.read(name, known)
        known = known or _size(masks)
        found = None if name in missing else given.read(name, known)
        known = known or _size(found)
        if known is None:
            unknown.append(name)
        else:
            check_given_size(size, {name: known})
        for submission, read in ((right, masks), (given, found)):
            if isinstance(read, list):  # of a JSON; maybe read before the size was known
                submission.read(name, known or size)
        if found is None:
            counts = count_any(masks, np.zeros_like(masks) if isinstance(masks, np.ndarray) else masks, labels)
            counts[:, [SHARED, PREDICTION]] = 0
            return counts
        if isinstance(found, np.ndarray) and (found == IGNORE_INDEX).any():
            raise FoldsegError(f"{prediction}: {name} holds void pixels; a prediction gives every pixel a class")
        return count_any(masks, found, labels)

    counts = np.stack([count(name) for name in ids])
    if unknown and size is None:
        logger.warning(
            "%d of %d images are not at hand and no --size is given, so rows and columns are not checked against their "
            "size: %s", len(unknown), len(ids), shorten(unknown),
        )  # fmt: skip
    files = [path for path in (prediction, truth) if path is not None]
    only_scored = any(format_of(path).has_scored_classes_alone for path in files)
    return CountedSubmission(labels, ids, counts, sorted(missing), only_scored)


def _size(masks: AnyMasks | None) -> Size:
    return (masks.shape[0], masks.shape[1]) if isinstance(masks, np.ndarray) else None


def count_any(truth: AnyMasks, prediction: AnyMasks, labels: LabelSet) -> Counts:
    """Counts (classes, 3) of one image from class indices (H, W) uint8 or the RLE of every class.

    Of runs only the scored classes are counted.
    """
    if isinstance(truth, np.ndarray) and isinstance(prediction, np.ndarray):
        return count_pixels(truth, prediction, len(labels))
    void = encode_classes(truth, [IGNORE_INDEX])[0] if isinstance(truth, np.ndarray) else EMPTY_RLE
    return count_rles(_as_runs(truth, labels), _as_runs(prediction, labels), void)


def _as_runs(masks: AnyMasks, labels: LabelSet) -> list[Rle]:
    if not isinstance(masks, np.ndarray):
        return masks
    runs = iter(encode_classes(masks, np.flatnonzero(labels.scored).tolist()))
    return [next(runs) if c.scored else EMPTY_RLE for c in labels.classes]


@dataclass(frozen=True)
class _MasksOfData:
    """The masks of a data set, read like a submission."""

    masks: dict[str, Path]
    labels: LabelSet
    pictures: Pictures

    @staticmethod
    def of(data: DataSet, prediction: Path, names: list[str]) -> "_MasksOfData":
        """Masks of all images of the splits that a prediction of the images `names` speaks of."""
        if not names:
            raise FoldsegError(f"{prediction}: holds no images")
        table = data.samples
        known = table[table["id"].isin(names)]
        expected = table[table["split"].isin(known["split"].unique()) & (table["mask"] != "")].sort_values("id")
        if expected.empty:
            raise FoldsegError(
                f"{prediction}: none of its images ({shorten(names, 2)}) has a mask in {data.root}; "
                "give the truth as a submission of its own"
            )
        masks = {str(row.id): data.root / str(row.mask) for row in expected.itertuples()}
        return _MasksOfData(masks, data.labels, data.pictures)

    @property
    def names(self) -> list[str]:
        return list(self.masks)

    def read(self, name: str, _: Size) -> Mask:
        return read_mask(self.masks[name], self.labels, self.pictures)

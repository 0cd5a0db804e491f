"""Scores a submission against the truth, as the contest would."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from foldseg.config.schema import Pictures, ScoreName
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.data.mask_files import read_mask
from foldseg.data.rle import EMPTY_RLE, Rle, encode_classes
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.scoring.class_values import present_iou
from foldseg.scoring.counts import PREDICTION, SHARED, Counts, count_pixels, count_rles
from foldseg.scoring.scores import Score, image_scores, list_scores, list_scores_of_scored_classes, score
from foldseg.submission.formats import find_missing_ids, format_of, open_submission
from foldseg.submission.interface import Size, Submission
from foldseg.submission.sizes import check_size_option

logger = logging.getLogger(__name__)

MaskOrRles = Mask | list[Rle]
"""Class indices (H, W) uint8, or the RLE of every class."""


@dataclass(frozen=True)
class CountedSubmission:
    """The counts of a submission's images, from which all scores follow.

    `counts`: (images, classes, 3), see `foldseg.scoring.counts`. `missing`: ids that the submission does not have; they
    count as if nothing was predicted. `only_scored`: whether the file holds the scored classes alone.
    """

    labels: LabelSet
    ids: list[str]
    counts: Counts
    missing: list[str]
    only_scored: bool

    @property
    def scores(self) -> dict[ScoreName, Score]:
        """All scores of `SCORES`, as `compute_scores` returns them."""
        return self.compute_scores()

    def compute_scores(self, *own: str) -> dict[ScoreName, Score]:
        """Return all scores of `SCORES` and those of one's own that are named.

        If the file holds the scored classes alone, these are the scores of the scored classes, with these classes.
        """
        if not self.only_scored:
            return {name: score(name, self.counts, self.labels) for name in list_scores(*own)}
        scores: dict[ScoreName, Score] = {}
        for name in list_scores_of_scored_classes(*own):
            of_all = score(name, self.counts, self.labels)
            per_class = {label.name: of_all.per_class[label.name] for label in self.labels.classes if label.scored}
            scores[name] = Score(name, of_all.value, per_class)
        return scores

    @property
    def ids_without_scored_class(self) -> list[str]:
        """Ids of images whose truth has no scored class: `image_mean_iou_present` leaves them out."""
        return [name for name, value in zip(self.ids, self.per_image["score"], strict=True) if np.isnan(value)]

    @property
    def per_image(self) -> pd.DataFrame:
        """One row per image: its `id`, its `score` (mean IoU of the scored classes in its truth), and each class's IoU.

        Values are 0..1. They are NaN where the image's truth does not have the class, or has none.
        """
        values = present_iou(self.counts)[:, self.labels.scored]
        names = [label.name for label in self.labels.classes if label.scored]
        table = pd.DataFrame(values, columns=names)
        table.insert(0, "id", self.ids)
        table.insert(1, "score", image_scores(self.counts, self.labels))
        return table

    def write_per_image(self, path: Path) -> None:
        """Write `per_image` as a CSV, with all digits."""
        write_text(path, self.per_image.to_csv(index=False, lineterminator="\n"))


def score_submission(
    prediction: Path, data: DataSet, truth: Path | None = None, allow_missing: bool = False, size: Size = None
) -> dict[ScoreName, Score]:
    """Score a submission; see `count_submission` for the arguments and errors."""
    return count_submission(prediction, data, truth, allow_missing, size).scores


def count_submission(
    prediction: Path, data: DataSet, truth: Path | None = None, allow_missing: bool = False, size: Size = None
) -> CountedSubmission:
    """Count a submission against `truth` (a submission of the truth), or else against the masks of the data set.

    With the data set's masks, all images of the splits that the submission's images belong to are expected. Sizes are
    those of image files and masks. `size` (height, width) is for images without a file; without it their rows and
    columns are not checked against a size, and a warning says so.

    FoldsegError when a submission is not valid or, without `allow_missing`, not complete. FoldsegError also when there
    are no images, and when `size` differs from the size of a file.
    """
    labels = data.labels
    predicted = open_submission(prediction, labels)
    true = _DataMasks.of(data, prediction, predicted.names) if truth is None else open_submission(truth, labels)
    ids = true.names
    if not ids:
        raise FoldsegError(f"{truth}: holds no images")
    missing = find_missing_ids(prediction, predicted.names, ids, allow_missing)
    images = data.images if truth is not None and data.root.exists() else {}
    predicted_ids = set(predicted.names)
    counts: list[Counts] = []
    without_size: list[str] = []
    for name in ids:
        file_size = data.size_of(name) if name in images else None
        prediction_or_none = predicted if name in predicted_ids else None
        true_masks, predicted_masks, read_image_size = _read_both(true, prediction_or_none, name, file_size, size)
        if read_image_size is None:
            without_size.append(name)
        if isinstance(predicted_masks, np.ndarray) and (predicted_masks == IGNORE_INDEX).any():
            raise FoldsegError(f"{prediction}: {name} holds void pixels; a prediction gives every pixel a class")
        counts.append(_count_or_miss(true_masks, predicted_masks, labels))
    if without_size and size is None:
        logger.warning(
            "%d of %d images are not at hand and no --size is given, so rows and columns are not checked against their "
            "size: %s", len(without_size), len(ids), shorten(without_size),
        )  # fmt: skip
    files = [path for path in (prediction, truth) if path is not None]
    only_scored = any(format_of(path).has_scored_classes_alone for path in files)
    return CountedSubmission(labels, ids, np.stack(counts), missing, only_scored)


def _read_both(
    true: Submission, predicted: Submission | None, name: str, file_size: Size, size_option: Size
) -> tuple[MaskOrRles, MaskOrRles | None, Size]:
    """Read an image of both submissions. Return both, and the image's size if a file or a mask tells it.

    `predicted`: None if the submission does not have the image. FoldsegError if --size differs from that size.
    """
    true_masks = true.read(name, file_size)
    read_image_size = file_size or _size_of(true_masks)
    predicted_masks = None if predicted is None else predicted.read(name, read_image_size)
    read_image_size = read_image_size or _size_of(predicted_masks)
    if read_image_size is not None:
        check_size_option(size_option, {name: read_image_size})
    # RLE may have been read before the size was known: read it again, so that it is checked
    if isinstance(true_masks, list):
        true.read(name, read_image_size or size_option)
    if predicted is not None and isinstance(predicted_masks, list):
        predicted.read(name, read_image_size or size_option)
    return true_masks, predicted_masks, read_image_size


def _size_of(masks: MaskOrRles | None) -> Size:
    return (masks.shape[0], masks.shape[1]) if isinstance(masks, np.ndarray) else None


def _count_or_miss(truth: MaskOrRles, prediction: MaskOrRles | None, labels: LabelSet) -> Counts:
    """Return the counts (classes, 3) of one image. Without a prediction nothing is predicted or shared."""
    if prediction is not None:
        return count_image(truth, prediction, labels)
    placeholder = np.zeros_like(truth) if isinstance(truth, np.ndarray) else truth
    counts = count_image(truth, placeholder, labels)
    counts[:, [SHARED, PREDICTION]] = 0
    return counts


def count_image(truth: MaskOrRles, prediction: MaskOrRles, labels: LabelSet) -> Counts:
    """Return the counts (classes, 3) of one image. If one of both is RLE, only the scored classes are counted."""
    if isinstance(truth, np.ndarray) and isinstance(prediction, np.ndarray):
        return count_pixels(truth, prediction, len(labels))
    void = encode_classes(truth, [IGNORE_INDEX])[0] if isinstance(truth, np.ndarray) else EMPTY_RLE
    return count_rles(_as_rles(truth, labels), _as_rles(prediction, labels), void)


def _as_rles(masks: MaskOrRles, labels: LabelSet) -> list[Rle]:
    """Return the RLE of every class; that of classes which are not scored is empty."""
    if not isinstance(masks, np.ndarray):
        return masks
    rles = iter(encode_classes(masks, np.flatnonzero(labels.scored).tolist()))
    return [next(rles) if label.scored else EMPTY_RLE for label in labels.classes]


@dataclass(frozen=True)
class _DataMasks:
    """The masks of a data set, which can be read like a submission."""

    masks: dict[str, Path]
    labels: LabelSet
    pictures: Pictures

    @staticmethod
    def of(data: DataSet, prediction: Path, names: list[str]) -> "_DataMasks":
        """Return the masks of all images of the splits that the images `names` of a prediction belong to."""
        if not names:
            raise FoldsegError(f"{prediction}: holds no images")
        table = data.samples
        splits = table[table["id"].isin(names)]["split"].unique()
        expected = table[table["split"].isin(splits) & (table["mask"] != "")].sort_values("id")
        if expected.empty:
            raise FoldsegError(
                f"{prediction}: none of its images ({shorten(names, 2)}) has a mask in {data.root}; "
                "give the truth as a submission of its own"
            )
        masks = {str(row.id): data.root / str(row.mask) for row in expected.itertuples()}
        return _DataMasks(masks, data.labels, data.pictures)

    @property
    def names(self) -> list[str]:
        return list(self.masks)

    def read(self, name: str, _: Size) -> Mask:
        return read_mask(self.masks[name], self.labels, self.pictures)

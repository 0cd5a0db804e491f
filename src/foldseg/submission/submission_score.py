"""Scores a submission against the truth, as the contest would."""

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from foldseg.config.schema import Pictures, ScoreName
from foldseg.config.schema.submissions import SubmissionKind
from foldseg.data.datasets import DataSet
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.data.mask_files import read_mask
from foldseg.data.rle import EMPTY_RLE, Rle, decode_rle, encode_classes, encode_labels, encode_mask
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.scoring.class_values import present_iou
from foldseg.scoring.counts import PREDICTION, SHARED, Counts, count_pixels, count_rles
from foldseg.scoring.scores import Score, image_scores, list_scores, list_scores_of_scored_classes, score
from foldseg.submission.class_masks import resize_mask
from foldseg.submission.formats import FORMATS, find_missing_ids, find_settings, open_submission
from foldseg.submission.interface import KnownImages, MaskOrRles, Size, Submission
from foldseg.submission.sizes import check_size_option

logger = logging.getLogger(__name__)


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
    prediction: Path,
    data: DataSet,
    truth: Path | None = None,
    allow_missing: bool = False,
    size: Size = None,
    settings: SubmissionKind | None = None,
    true_settings: SubmissionKind | None = None,
) -> CountedSubmission:
    """Count a submission against `truth` (a submission of the truth), or else against the masks of the data set.

    With the data set's masks, all images of the splits that the submission's images belong to are expected. Sizes are
    those of image files and masks. `size` (height, width) is for images without a file; without it the rows and
    columns of a JSON are not checked against a size, and a warning says so. `settings` and `true_settings` are those
    of the formats of both files. None: they are found, see `find_settings`; a truth without settings of its own
    has those of a prediction of its kind. If a submission has a size of its own,
    both are compared in that size.

    FoldsegError when a submission is not valid or, without `allow_missing`, not complete. FoldsegError also when there
    are no images, and when `size` differs from the size of a file.
    """
    labels = data.labels
    images = data.images if data.root.exists() else {}
    known = KnownImages(images)
    settings = settings or find_settings(prediction)
    predicted = open_submission(prediction, labels, settings, known)
    true: Submission
    if truth is None:
        true = _DataMasks.of(data, prediction, predicted.names)
    else:
        true_settings = true_settings or _find_true_settings(truth, settings)
        true = open_submission(truth, labels, true_settings, known)
    ids = _list_ids(true, predicted, truth)
    missing = find_missing_ids(prediction, predicted.names, ids, allow_missing)
    counts: list[Counts] = []
    without_size: list[str] = []
    only_scored = any(
        kind is not None and FORMATS[type(kind)].has_scored_classes_alone(kind, labels)
        for kind in (settings, true_settings)
    )
    for name in ids:
        file_size = data.size_of(name) if truth is not None and name in images else None
        pair = _read_pair(true, None if name in missing else predicted, name, file_size, size)
        if pair.size is None:
            without_size.append(name)
        if isinstance(pair.prediction, np.ndarray) and (pair.prediction == IGNORE_INDEX).any():
            raise FoldsegError(f"{prediction}: {name} holds void pixels; a prediction gives every pixel a class")
        counts.append(_count_or_miss(pair.truth, pair.prediction, labels, only_scored))
    if without_size and size is None:
        logger.warning(
            "%d of %d images are not at hand and no --size is given, so rows and columns are not checked against their "
            "size: %s", len(without_size), len(ids), shorten(without_size),
        )  # fmt: skip
    return CountedSubmission(labels, ids, np.stack(counts), missing, only_scored)


def _find_true_settings(truth: Path, of_prediction: SubmissionKind) -> SubmissionKind:
    """Return the settings of a truth: those of its ensemble, or else of the prediction if that is of the same kind."""
    found = find_settings(truth)
    is_default = found == type(found).model_validate({})
    return of_prediction if is_default and type(of_prediction) is type(found) else found


def _list_ids(true: Submission, predicted: Submission, truth: Path | None) -> list[str]:
    """Return the ids that are scored: those of the truth, and others where a truth has no rows for empty masks."""
    ids = list(true.names)
    if not ids:
        raise FoldsegError(f"{truth}: holds no images")
    others = set(predicted.names) - set(ids)
    if not true.has_all_images and others and set(ids) & set(predicted.names):
        message = "%s: has no row of %d image(s), so their true masks are empty: %s"
        logger.info(message, truth, len(others), shorten(sorted(others)))
        return sorted(set(ids) | others)
    return ids


@dataclass(frozen=True)
class _Pair:
    """Both masks of an image, in one size."""

    truth: MaskOrRles
    prediction: MaskOrRles | None
    size: Size
    """(height, width) if a file, a mask or a submission tells it."""


def _read_pair(true: Submission, predicted: Submission | None, name: str, file_size: Size, size_option: Size) -> _Pair:
    """Read an image of both submissions. `predicted`: None if it does not have the image.

    FoldsegError if --size differs from the size that a file tells.
    """
    true_masks = true.read(name, file_size or (size_option if true.needs_size else None))
    image_size = file_size or _size_of(true_masks)
    predicted_masks = None
    if predicted is not None:
        predicted_masks = predicted.read(name, image_size or (size_option if predicted.needs_size else None))
        image_size = image_size or _size_of(predicted_masks)
    if image_size is not None:
        check_size_option(size_option, {name: image_size})
    # RLE may have been read before the size was known: read it again, so that it is checked
    if isinstance(true_masks, list) and not true.needs_size:
        true.read(name, image_size or size_option)
    if predicted is not None and isinstance(predicted_masks, list) and not predicted.needs_size:
        predicted.read(name, image_size or size_option)
    any_size = image_size or size_option
    common = (predicted.size if predicted is not None else None) or true.size
    if common is not None:
        true_masks = _resize(true_masks, true.size or any_size, common)
        if predicted is not None and predicted_masks is not None:
            predicted_masks = _resize(predicted_masks, predicted.size or any_size, common)
    needs_size = true.needs_size or (predicted is not None and predicted.needs_size)
    return _Pair(true_masks, predicted_masks, common or image_size or (size_option if needs_size else None))


def _resize(masks: MaskOrRles, size: Size, new_size: tuple[int, int]) -> MaskOrRles:
    """Return masks in another size, (height, width). Each pixel is that of the nearest centre."""
    if isinstance(masks, np.ndarray):
        resized = cv2.resize(masks, (new_size[1], new_size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(resized, np.uint8)
    if size == new_size:
        return masks
    assert size is not None
    return [encode_mask(resize_mask(decode_rle(rle, size), new_size)) for rle in masks]


def _size_of(masks: MaskOrRles | None) -> Size:
    return (masks.shape[0], masks.shape[1]) if isinstance(masks, np.ndarray) else None


def _count_or_miss(truth: MaskOrRles, prediction: MaskOrRles | None, labels: LabelSet, only_scored: bool) -> Counts:
    """Return the counts (classes, 3) of one image. Without a prediction nothing is predicted or shared."""
    if prediction is not None:
        return count_image(truth, prediction, labels, only_scored)
    placeholder = np.zeros_like(truth) if isinstance(truth, np.ndarray) else truth
    counts = count_image(truth, placeholder, labels, only_scored)
    counts[:, [SHARED, PREDICTION]] = 0
    return counts


def count_image(truth: MaskOrRles, prediction: MaskOrRles, labels: LabelSet, only_scored: bool = True) -> Counts:
    """Return the counts (classes, 3) of one image.

    `only_scored`: whether RLE has the scored classes alone. Then others are not counted, if one of both is RLE.
    """
    if isinstance(truth, np.ndarray) and isinstance(prediction, np.ndarray) and not labels.overlapping:
        return count_pixels(truth, prediction, len(labels))
    void = encode_classes(truth, [IGNORE_INDEX])[0] if isinstance(truth, np.ndarray) else EMPTY_RLE
    return count_rles(_as_rles(truth, labels, only_scored), _as_rles(prediction, labels, only_scored), void)


def _as_rles(masks: MaskOrRles, labels: LabelSet, only_scored: bool) -> list[Rle]:
    """Return the RLE of every class. With `only_scored`, that of classes which are not scored is empty."""
    if not isinstance(masks, np.ndarray):
        return masks
    counted = np.flatnonzero(labels.scored).tolist() if only_scored else range(len(labels))
    rles = dict(zip(counted, encode_labels(masks, labels, list(counted)), strict=True))
    return [rles.get(index, EMPTY_RLE) for index in range(len(labels))]


@dataclass(frozen=True)
class _DataMasks:
    """The masks of a data set, which can be read like a submission."""

    masks: dict[str, Path]
    labels: LabelSet
    pictures: Pictures
    needs_size: bool = False
    has_all_images: bool = True
    size: Size = None

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

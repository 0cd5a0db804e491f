"""Where a model fails: per image, per class, per stratum, per size of object, and on pictures.

`analyse` reads all images once. Every table and figure is made from what it counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foldseg.data.labels import Mask
from foldseg.report.figures import (
    Picture,
    draw_bar_chart,
    draw_error_map,
    draw_heat_map,
    draw_picture_grid,
    make_class_legend,
    make_error_legend,
)
from foldseg.report.oof_labels import OofLabels
from foldseg.scoring.class_values import iou, present_iou
from foldseg.scoring.counts import (
    PREDICTION,
    SHARED,
    TRUTH,
    Counts,
    confuse_bits,
    confusion_matrix,
    count_prediction,
)
from foldseg.scoring.scores import image_scores, score

SIZE_EDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Lower edges of the bins of object size, as shares of the image's area."""

_FOUND = 0.5
"""An object counts as found if this share of its pixels, or more, is predicted as its class."""


@dataclass(frozen=True)
class ErrorAnalysis:
    """Counts of OOF predictions, from which tables and figures are made."""

    oof: OofLabels
    counts: Counts
    """(images, classes, 3) int64, in the order of `oof.table`; see `foldseg.scoring.counts`."""
    confusion: NDArray[np.int64]
    """Confusion matrix: (classes, classes) int64 pixels; row = truth, column = prediction.

    What it is for overlapping classes is said in `scoring.counts.confuse_bits`.
    """
    objects: pd.DataFrame
    """A row per object: id, class, pixels, share (of the image's area), recall (from 0 to 1).

    An object is a connected component of a scored class in the truth.
    """

    @property
    def images(self) -> pd.DataFrame:
        """A row per image, by id: fold, group, stratum."""
        return self.oof.table.set_index("id")[["fold", "group", "stratum"]]


def analyse(oof: OofLabels) -> ErrorAnalysis:
    """Count the pixels and objects of every truth and prediction, in one pass."""
    labels, classes = oof.labels, len(oof.labels)
    confusion = np.zeros((classes, classes), np.int64)
    counts = np.zeros((len(oof), classes, 3), np.int64)
    objects = []
    for number, (name, truth, prediction) in enumerate(oof):
        counts[number] = count_prediction(truth, prediction, labels)
        if labels.overlapping:
            confusion += confuse_bits(truth, prediction, labels)
        else:
            confusion += confusion_matrix(truth, prediction, classes)
        is_present = counts[number, :, TRUTH] > 0
        planes = labels.class_planes(np.stack([truth, prediction])).view(np.uint8)
        for index in np.flatnonzero(labels.scored & is_present).tolist():
            true_plane, predicted_plane = planes[index]
            pixels, recall = measure_object_recall(true_plane, predicted_plane, 1)
            rows = {"id": name, "class": oof.labels.names[index], "pixels": pixels, "recall": recall}
            objects.append(pd.DataFrame(rows).assign(share=pixels / truth.size))
    columns = ["id", "class", "pixels", "share", "recall"]
    table = pd.concat(objects, ignore_index=True)[columns] if objects else pd.DataFrame(columns=columns)
    return ErrorAnalysis(oof, counts, confusion, table)


def measure_object_recall(truth: Mask, prediction: Mask, index: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the area, in pixels, and the recall of every object of class `index`.

    An object is an 8-connected component of the truth, so objects that touch count as one. Recall is the share of its
    pixels that are predicted as its class.
    """
    is_class = (truth == index).astype(np.uint8)
    number, component, stats, _ = cv2.connectedComponentsWithStats(is_class, connectivity=8)
    hits = np.bincount(component[(is_class > 0) & (prediction == index)], minlength=number)[1:]
    area = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return area, hits / area


def score_images(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Return the scores of each image, by id.

    The columns are fold, group, stratum, image_mean_iou_present, miou, pixel_accuracy, and the IoU of each class.
    `miou` is the mean IoU of the classes that are in the image's truth or prediction. IoUs are from 0 to 1, and NaN for
    a class that is in neither. The accuracy of overlapping classes is NaN.
    """
    counts = analysis.counts
    labelled = counts[..., TRUTH].sum(1)
    has_accuracy = (labelled > 0) & (not analysis.oof.labels.overlapping)
    right = counts[..., SHARED].sum(1)
    per_class = pd.DataFrame(iou(counts), columns=analysis.oof.labels.names, index=analysis.images.index)
    return analysis.images.assign(
        image_mean_iou_present=image_scores(counts, analysis.oof.labels),
        miou=per_class.mean(axis=1),
        pixel_accuracy=np.where(has_accuracy, right / np.maximum(labelled, 1), np.nan),
    ).join(per_class)


def select_worst_images(table: pd.DataFrame, number: int = 8, by: str = "image_mean_iou_present") -> pd.DataFrame:
    """Return the `number` rows of `score_images` with the lowest score, worst first; `by`: a score or a class."""
    return table.dropna(subset=[by]).sort_values([by, "id"]).head(number)


def score_classes(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Return the scores of each class; NaN if undefined.

    | column | meaning |
    | --- | --- |
    | `scored` | whether the contest scores it |
    | `iou` | IoU over all images together |
    | `image_iou` | mean IoU over the images that have the class |
    | `precision`, `recall` | over all images together |
    | `pixel_share` | share of the labelled pixels; of overlapping classes, of the sum of their pixels |
    | `images` | number of images that have the class |
    """
    total = analysis.counts.sum(0)
    shared, truth, predicted = (total[:, column].astype(np.float64) for column in (SHARED, TRUTH, PREDICTION))
    in_images = pd.DataFrame(present_iou(analysis.counts), columns=analysis.oof.labels.names)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is NaN: the class is not there
        columns = {
            "scored": analysis.oof.labels.scored,
            "iou": iou(total),
            "image_iou": in_images.mean().to_numpy(),
            "precision": shared / predicted,
            "recall": shared / truth,
            "pixel_share": truth / truth.sum(),
            "images": in_images.notna().sum().to_numpy(),
        }
    return pd.DataFrame(columns, index=pd.Index(analysis.oof.labels.names, name="class"))


def normalise_confusion(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Return the confusion matrix, divided by the true pixels of each row's class; row = truth.

    Rows of exclusive classes sum to 1. A class that is not in the truth is NaN.
    """
    total = analysis.counts[..., TRUTH].sum(0)[:, None]
    shares = np.divide(analysis.confusion, total, out=np.full(analysis.confusion.shape, np.nan), where=total > 0)
    names = analysis.oof.labels.names
    return pd.DataFrame(shares, pd.Index(names, name="truth"), pd.Index(names, name="prediction"))


def find_confused_pairs(analysis: ErrorAnalysis, number: int = 10) -> pd.DataFrame:
    """Return the most frequent mistakes: truth, prediction, share of the true class, share of all wrong pixels."""
    mistakes = analysis.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    names, true_pixels = analysis.oof.labels.names, analysis.counts[..., TRUTH].sum(0)
    rows = []
    for flat_index in np.argsort(-mistakes, axis=None, kind="stable")[:number]:
        truth, prediction = np.unravel_index(flat_index, mistakes.shape)
        pixels = mistakes[truth, prediction]
        if pixels > 0:
            rows.append((names[truth], names[prediction], pixels / true_pixels[truth], pixels / mistakes.sum()))
    return pd.DataFrame(rows, columns=["truth", "prediction", "share_of_class", "share_of_errors"])


def score_by(analysis: ErrorAnalysis, column: str = "stratum") -> pd.DataFrame:
    """Return images, dataset_miou and image_mean_iou_present for each stratum, fold or group; all images last.

    The scores of a part are computed from its counts, since its dataset_miou is not the mean of its images' scores.
    """
    values = analysis.images[column].astype(str)
    parts = {name: (values == name).to_numpy() for name in sorted(values.unique())}
    parts["all"] = np.ones(len(values), bool)
    rows = []
    for is_in_part in parts.values():
        counts = analysis.counts[is_in_part]
        dataset_miou = score("dataset_miou", counts, analysis.oof.labels).value
        image_mean_iou = score("image_mean_iou_present", counts, analysis.oof.labels).value
        rows.append((int(is_in_part.sum()), dataset_miou, image_mean_iou))
    return pd.DataFrame(rows, pd.Index(parts, name=column), ["images", "dataset_miou", "image_mean_iou_present"])


def score_by_size(analysis: ErrorAnalysis, edges: Sequence[float] = SIZE_EDGES) -> pd.DataFrame:
    """Return how well the objects of each class and size are found: a row per class and size that has objects.

    | column | meaning |
    | --- | --- |
    | `class`, `size` | `size` names a bin by the pixels that it is in an image of median area |
    | `objects` | number of objects |
    | `recall` | mean recall of objects |
    | `found` | share of the objects of which half the pixels, or more, are right |

    `edges`: lower edges of the bins, as shares of the image's area, from 0.
    """
    objects = analysis.objects
    area = float((objects["pixels"] / objects["share"]).median()) if len(objects) else 1.0
    pixels = [f"{edge * area:,.0f}" if edge * area >= 1 else f"{edge * area:.1g}" for edge in edges[1:]]
    names = [f"under {pixels[0]} px", *(f"{low}–{high} px" for low, high in pairwise(pixels)), f"over {pixels[-1]} px"]
    bins = np.searchsorted(np.asarray(edges), objects["share"].to_numpy(np.float64), side="right") - 1
    columns = {
        "class": pd.Categorical(objects["class"], analysis.oof.labels.names, ordered=True),
        "size": pd.Categorical([names[i] for i in bins], names, ordered=True),
        "recall": objects["recall"],
        "found": objects["recall"] >= _FOUND,
    }
    by_bin = pd.DataFrame(columns).groupby(["class", "size"], observed=True)
    return by_bin.agg(objects=("recall", "size"), recall=("recall", "mean"), found=("found", "mean")).reset_index()


def pivot_by_size(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a column of `score_by_size` as a table of classes (rows) and sizes (columns); NaN without objects."""
    return table.pivot_table(index="class", columns="size", values=measure, observed=True)


def draw_images(analysis: ErrorAnalysis, ids: Sequence[str], by: str = "image_mean_iou_present") -> Figure:
    """Draw a row per image: frame, truth, prediction, error map. Titles give id and score."""
    oof, table = analysis.oof, score_images(analysis)
    rows, masks = [], []
    for name in ids:
        truth, prediction = oof.truth(name), oof.prediction(name)
        masks += [truth, prediction]
        scores = table.loc[name]
        rows.append(
            [
                Picture(oof.image(name), f"{name} (fold {scores['fold']}, {scores['stratum']})"),
                Picture(oof.labels.colourise(truth), "truth"),
                Picture(oof.labels.colourise(prediction), f"prediction: {by} {scores[by]:.3f}"),
                Picture(
                    draw_error_map(truth, prediction, oof.labels),
                    "errors" if oof.labels.overlapping else f"errors: accuracy {scores['pixel_accuracy']:.3f}",
                ),
            ]
        )
    legend = [*make_class_legend(oof.labels, masks), *make_error_legend(oof.labels)[:-1]]
    return draw_picture_grid(rows, legend, width=3.2)


def draw_confusion(analysis: ErrorAnalysis) -> Figure:
    """Draw the confusion matrix, each row in percent of its class's true pixels."""
    title = "confusion, % of the truth's pixels"
    return draw_heat_map(normalise_confusion(analysis), title, lambda share: f"{100 * share:.0f}")


def draw_classes(analysis: ErrorAnalysis) -> Figure:
    """Draw the IoU of each class over all images, in the classes' colours, best first."""
    values = score_classes(analysis)["iou"].sort_values(ascending=False)
    colours = {label.name: label.colour for label in analysis.oof.labels.classes}
    return draw_bar_chart(values, f"IoU over {len(analysis.oof)} images", [colours[str(name)] for name in values.index])


def draw_by_size(analysis: ErrorAnalysis, measure: Literal["recall", "found"] = "recall") -> Figure:
    """Draw recall, or the share of objects that are found, by class and object size."""
    titles = {"recall": "mean recall of objects", "found": "share of objects found (half of their pixels or more)"}
    table = pivot_by_size(score_by_size(analysis), measure)
    return draw_heat_map(table, f"{titles[measure]}, by class and size")

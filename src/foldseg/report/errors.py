"""Where a model fails: per image, per class, per stratum, per size of object, and on pictures.

`analyse` goes over the images once; every table and figure is made from what it counted.
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
    bar_chart,
    class_legend,
    error_legend,
    error_map,
    heat_map,
    picture_grid,
)
from foldseg.report.oof import OofLabels
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, confusion_matrix, counts_of_confusion
from foldseg.scoring.scores import image_scores, iou, present_iou, score

SIZE_EDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Lower edges of the bins of object size, as shares of the image's area."""

_FOUND = 0.5  # an object is found if this share of its pixels, or more, has its class


@dataclass(frozen=True)
class ErrorAnalysis:
    """What one pass over the images counted."""

    oof: OofLabels
    counts: Counts
    """(images, classes, 3) int64, in the order of `oof.table`; see `foldseg.scoring.counts`"""
    confusion: NDArray[np.int64]
    """(classes, classes): pixels, row = truth, column = prediction"""
    objects: pd.DataFrame
    """one row per object (connected component of a scored class in the truth): id, class, pixels, share of the
    image's area, recall in 0..1"""

    @property
    def images(self) -> pd.DataFrame:
        """The table of images: index id; fold, group, stratum."""
        return self.oof.table.set_index("id")[["fold", "group", "stratum"]]


def analyse(oof: OofLabels) -> ErrorAnalysis:
    """Read every truth and prediction once and count."""
    classes = len(oof.labels)
    confusion = np.zeros((classes, classes), np.int64)
    counts = np.zeros((len(oof), classes, 3), np.int64)
    objects = []
    for number, (name, truth, prediction) in enumerate(oof):
        own = confusion_matrix(truth, prediction, classes)
        confusion += own
        counts[number] = counts_of_confusion(own)
        for index in np.flatnonzero(oof.labels.scored & (counts[number, :, TRUTH] > 0)).tolist():
            pixels, recall = object_recall(truth, prediction, index)
            found = {"id": name, "class": oof.labels.names[index], "pixels": pixels, "recall": recall}
            objects.append(pd.DataFrame(found).assign(share=pixels / truth.size))
    columns = ["id", "class", "pixels", "share", "recall"]
    table = pd.concat(objects, ignore_index=True)[columns] if objects else pd.DataFrame(columns=columns)
    return ErrorAnalysis(oof, counts, confusion, table)


def object_recall(truth: Mask, prediction: Mask, index: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Area in pixels and recall of every object of class `index`: an 8-connected component of the truth.

    Recall is the share of the object's pixels that are predicted as its class. Objects that touch count as one.
    """
    is_class = (truth == index).astype(np.uint8)
    number, component, stats, _ = cv2.connectedComponentsWithStats(is_class, connectivity=8)
    hits = np.bincount(component[(is_class > 0) & (prediction == index)], minlength=number)[1:]
    area = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return area, hits / area


def image_table(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Scores per image, index id: fold, group, stratum, image_mean_iou_present, miou, pixel_accuracy, IoU per class.

    `miou` is the mean IoU of the classes that the image's truth or prediction has; both kinds of IoU are in 0..1,
    and NaN where a class is in neither.
    """
    counts = analysis.counts
    labelled = counts[..., TRUTH].sum(1)
    right = counts[..., SHARED].sum(1)
    per_class = pd.DataFrame(iou(counts), columns=analysis.oof.labels.names, index=analysis.images.index)
    return analysis.images.assign(
        image_mean_iou_present=image_scores(counts, analysis.oof.labels),
        miou=per_class.mean(axis=1),
        pixel_accuracy=np.where(labelled > 0, right / np.maximum(labelled, 1), np.nan),
    ).join(per_class)


def worst_images(table: pd.DataFrame, number: int = 8, by: str = "image_mean_iou_present") -> pd.DataFrame:
    """Return the `number` rows of `image_table` with the lowest score, worst first; `by` may be a class's name."""
    return table.dropna(subset=[by]).sort_values([by, "id"]).head(number)


def class_table(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Scores per class, index class; NaN where undefined.

    Columns: `scored`, `iou` over the set, `image_iou` (mean over the images that have it), `precision`, `recall`,
    `pixel_share` of the labelled pixels, `images` that have it.
    """
    total = analysis.counts.sum(0)
    shared, truth, predicted = (total[:, column].astype(np.float64) for column in (SHARED, TRUTH, PREDICTION))
    in_images = pd.DataFrame(present_iou(analysis.counts), columns=analysis.oof.labels.names)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0: the class is not there, NaN says so
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


def confusion_table(analysis: ErrorAnalysis) -> pd.DataFrame:
    """Confusion normalised by truth: row = class of the truth, sums to 1 (NaN: not in the truth)."""
    total = analysis.confusion.sum(1, keepdims=True)
    shares = np.divide(analysis.confusion, total, out=np.full(analysis.confusion.shape, np.nan), where=total > 0)
    names = analysis.oof.labels.names
    return pd.DataFrame(shares, pd.Index(names, name="truth"), pd.Index(names, name="prediction"))


def confused_pairs(analysis: ErrorAnalysis, number: int = 10) -> pd.DataFrame:
    """The commonest mistakes: truth, prediction, share of the truth's class, share of all wrong pixels."""
    wrong = analysis.confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:number]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order if wrong.flat[flat] > 0]
    names, truth = analysis.oof.labels.names, analysis.confusion.sum(1)
    rows = [(names[t], names[p], wrong[t, p] / truth[t], wrong[t, p] / wrong.sum()) for t, p in pairs]
    return pd.DataFrame(rows, columns=["truth", "prediction", "share_of_class", "share_of_errors"])


def score_by(analysis: ErrorAnalysis, column: str = "stratum") -> pd.DataFrame:
    """Images, dataset_miou and image_mean_iou_present of every value of stratum, fold or group; all images last.

    The scores are made anew from the part's counts: a part's dataset_miou is not the mean of its images' scores.
    """
    values = analysis.images[column].astype(str)
    parts = {name: (values == name).to_numpy() for name in sorted(values.unique())}
    parts["all"] = np.ones(len(values), bool)
    rows = [
        (
            int(chosen.sum()),
            score("dataset_miou", analysis.counts[chosen], analysis.oof.labels).value,
            score("image_mean_iou_present", analysis.counts[chosen], analysis.oof.labels).value,
        )
        for chosen in parts.values()
    ]
    return pd.DataFrame(rows, pd.Index(parts, name=column), ["images", "dataset_miou", "image_mean_iou_present"])


def score_by_size(analysis: ErrorAnalysis, edges: Sequence[float] = SIZE_EDGES) -> pd.DataFrame:
    """Objects of the truth by class and size: one row per class and size that occurs together.

    Columns: `class`, `size`, `objects` (number), `recall` (mean over objects), `found` (share of the objects of which
    half the pixels or more are right). `edges` are lower edges of the bins as shares of the image's area, from 0;
    `size` names a bin by the pixels that this is in an image of median area.
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


def by_size(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One measure of `score_by_size` as rows of classes and columns of sizes; NaN where there is no such object."""
    return table.pivot_table(index="class", columns="size", values=measure, observed=True)


def worst_figure(analysis: ErrorAnalysis, ids: Sequence[str], by: str = "image_mean_iou_present") -> Figure:
    """Draw one row per image: frame, truth, prediction, error map; id and score in the titles."""
    oof, table = analysis.oof, image_table(analysis)
    rows, masks = [], []
    for name in ids:
        truth, prediction = oof.truth(name), oof.prediction(name)
        masks += [truth, prediction]
        facts = table.loc[name]
        rows.append(
            [
                Picture(oof.image(name), f"{name} (fold {facts['fold']}, {facts['stratum']})"),
                Picture(oof.labels.colourise(truth), "truth"),
                Picture(oof.labels.colourise(prediction), f"prediction: {by} {facts[by]:.3f}"),
                Picture(error_map(truth, prediction, oof.labels), f"errors: accuracy {facts['pixel_accuracy']:.3f}"),
            ]
        )
    return picture_grid(rows, [*class_legend(oof.labels, masks), *error_legend(oof.labels)[:-1]], width=3.2)


def confusion_figure(analysis: ErrorAnalysis) -> Figure:
    """Draw the confusion matrix, each row in percent of its class's true pixels."""
    return heat_map(confusion_table(analysis), "confusion, % of the truth's pixels", lambda v: f"{100 * v:.0f}")


def class_figure(analysis: ErrorAnalysis) -> Figure:
    """Draw IoU over the set per class, in the classes' colours, best first."""
    values = class_table(analysis)["iou"].sort_values(ascending=False)
    colours = {c.name: c.colour for c in analysis.oof.labels.classes}
    return bar_chart(values, f"IoU over {len(analysis.oof)} images", [colours[str(name)] for name in values.index])


def size_figure(analysis: ErrorAnalysis, measure: Literal["recall", "found"] = "recall") -> Figure:
    """Draw recall (or `found`) by class and object size."""
    what = {"recall": "mean recall of objects", "found": "share of objects found (half of their pixels or more)"}
    return heat_map(by_size(score_by_size(analysis), measure), f"{what[measure]}, by class and size")

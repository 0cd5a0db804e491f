"""OOF label maps with their truths: of a run, of all runs of an experiment, or of an ensemble."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from foldseg.config.schema import ScoreName
from foldseg.data.channels import as_rgb
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.mask_files import read_mask
from foldseg.data.reading import read_image
from foldseg.data.samples import shorten
from foldseg.ensemble.made_from import find_any_run, find_changes_since, holds_other_label_maps
from foldseg.ensemble.members import blended_labels
from foldseg.errors import FoldsegError
from foldseg.inference.class_rule import choose_rule
from foldseg.inference.run_stores import expected_metadata, store_of
from foldseg.inference.store import PredictionStore
from foldseg.runs.data_changes import warn_of_changes
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.kinds import require_kind
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.runs.trained import trained_labels
from foldseg.scoring.counts import Counts, count_prediction
from foldseg.submission import label_png

logger = logging.getLogger(__name__)

RESAMPLES = 2000
"""Bootstrap samples for the scores of runs. An ensemble has a setting for its own."""


@dataclass(frozen=True)
class OofLabels:
    """Truths and OOF predictions, one image at a time.

    Iterating yields (id, truth, prediction) in the order of the table, with a progress bar. Truth and prediction are
    (H, W) uint8 class indices or class bits, void 255.
    """

    name: str
    """A short name for messages."""
    data: DataSet
    labels: LabelSet
    table: pd.DataFrame
    """A row per image: id, image, mask, split, fold, group, stratum."""
    score: ScoreName
    """The score that runs are chosen by, or that the ensemble was made for."""
    bootstrap_samples: int
    """Number of bootstrap samples for an interval of its scores."""
    read: Callable[[str], Mask]
    """Function that returns the predicted class indices of an id."""

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[tuple[str, Mask, Mask]]:
        for name in tqdm(self.table["id"], desc=f"reading {self.name}", unit="image", disable=None, leave=False):
            truth, prediction = self.truth(name), self.prediction(name)
            if truth.shape != prediction.shape:
                raise FoldsegError(
                    f"{self.name}: the prediction of {name} is {prediction.shape}, its mask is {truth.shape} (height, "
                    "width); predict it again"
                )
            yield name, truth, prediction

    def image(self, name: str) -> Image:
        """Return the frame: (H, W, 3) uint8 RGB."""
        return as_rgb(read_image(self.data.root / self._row(name)["image"], self.data.pictures))

    def truth(self, name: str) -> Mask:
        """Return the true class indices: (H, W) uint8, void 255."""
        return read_mask(self.data.root / self._row(name)["mask"], self.labels, self.data.pictures)

    def prediction(self, name: str) -> Mask:
        """Return the predicted class indices: (H, W) uint8."""
        return self.read(name)

    def only(self, ids: list[str]) -> "OofLabels":
        """Return the same predictions of some of the images alone."""
        return replace(self, table=self.table[self.table["id"].isin(ids)])

    def counts(self) -> Counts:
        """Return the counts of every image, in the order of the table: (images, classes, 3) int64."""
        return np.stack([count_prediction(truth, prediction, self.labels) for _, truth, prediction in self])

    def _row(self, name: str) -> dict[str, Any]:
        rows = self.table[self.table["id"] == name]
        if rows.empty:
            raise FoldsegError(f"{self.name}: has no OOF image {name}; it has e.g. {shorten(self.table['id'])}")
        return {str(key): value for key, value in rows.iloc[0].items()}


def open_oof(source: Path, opened: OpenedData | None = None) -> OofLabels:
    """Open the OOF predictions of a run folder, an experiment's folder of runs, or a submission folder.

    `opened`: the data sets that are open already. FoldsegError if `source` is no such folder, or if its predictions are
    incomplete or older than the run's weights.
    """
    opened = opened or OpenedData()
    kind = require_kind(source, RunFolder, ExperimentFolder, SubmissionFolder, problem="holds no OOF predictions")
    if isinstance(kind, SubmissionFolder):
        return _open_submission(SubmissionFolder.open(source), opened)
    if isinstance(kind, ExperimentFolder):
        return _open_runs(kind.open_runs(), source.name, opened)
    return _open_runs([RunFolder.open(source)], "/".join(source.absolute().parts[-2:]), opened)


def _open_runs(runs: list[RunFolder], name: str, opened: OpenedData) -> OofLabels:
    """Open the OOF predictions of runs of one experiment, which are read from their stores."""
    data, labels = opened.open(runs[0].experiment.data), trained_labels(runs[0])
    stores = {run.fold: _open_store(run, opened) for run in runs}
    for run in runs:
        warn_of_changes(run, data)
    table, rule = data.folded[data.folded["fold"].isin(stores)], choose_rule(labels)
    store_of_image = {str(row["id"]): stores[row["fold"]] for row in table.to_dict("records")}

    def read(image_id: str) -> Mask:
        # `blend` of one map would only rescale each pixel, which does not change what is decided
        return rule.decide(store_of_image[image_id].read(image_id).astype(np.float32), 255.0)

    return OofLabels(name, data, labels, table, runs[0].experiment.score, RESAMPLES, read)


def _open_store(run: RunFolder, opened: OpenedData) -> PredictionStore:
    """Return the OOF store of a run. FoldsegError if it is incomplete or stale."""
    store = store_of(run, "oof")
    store.require_complete(expected_metadata(run, "oof", opened.open(run.experiment.data)))
    return store


def _open_submission(submission: SubmissionFolder, opened: OpenedData) -> OofLabels:
    """Open the label maps of an ensemble: the 8-bit PNGs of raw ids that it was scored with."""
    folder, config = submission.path, submission.read_settings()
    run = find_any_run(config)
    data, labels = opened.open(run.experiment.data), blended_labels(config, run)
    run.check_folds(data)
    for change in find_changes_since(folder, opened):
        logger.warning("%s: is not of what there is now: %s; run foldseg ensemble again", folder, change)
    if holds_other_label_maps(submission):
        logger.warning("%s: holds other label maps than those that were scored; run foldseg ensemble again", folder)
    scores = submission.read_scores()
    table = data.folded[data.folded["fold"].isin(scores["folds"])]
    maps = label_png.Submission(submission.oof, labels.with_bits_as_ids())
    missing = sorted(set(table["id"]) - set(maps.names))
    if missing:
        raise FoldsegError(
            f"{submission.oof}: {len(missing)} of {len(table)} label maps are missing, e.g. {shorten(missing)}; "
            "run foldseg ensemble again"
        )
    return OofLabels(
        folder.name,
        data,
        labels,
        table,
        scores["score"],
        config.bootstrap_samples,
        lambda name: maps.read(name, data.size_of(name)),
    )

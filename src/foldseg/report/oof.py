"""OOF label maps of a run, of an experiment (all its runs) or of an ensemble, through one door."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from foldseg.config.schema import ScoreName
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.reading import read_image, read_mask
from foldseg.data.samples import shorten
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.made_from import any_run, changes_since, holds_other_label_maps
from foldseg.ensemble.members import blended_labels
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import expected_metadata, store_of
from foldseg.inference.store import PredictionStore
from foldseg.runs.contents import warn_of_changes
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.kinds import require_kind
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.runs.trained import trained_labels
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.submission import label_png

logger = logging.getLogger(__name__)

RESAMPLES = 2000
"""Of the scores of runs; an ensemble says it itself."""


@dataclass(frozen=True)
class OofLabels:
    """Truths and OOF predictions, one image at a time.

    `table` has a row per image: id, image, mask, split, fold, group, stratum. Iterating yields (id, truth,
    prediction), both (H, W) uint8 class indices, void 255, in the order of the table, with a progress bar. `score` is
    what the runs were chosen by, or the ensemble was made for.
    """

    name: str
    data: DataSet
    labels: LabelSet
    table: pd.DataFrame
    score: ScoreName
    bootstrap_samples: int
    """How many resamples an interval of its scores takes."""
    read: Callable[[str], Mask]
    """id -> predicted class indices"""

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
        return read_image(self.data.root / self._row(name)["image"], self.data.pictures)

    def truth(self, name: str) -> Mask:
        """Return the true class indices: (H, W) uint8, void 255."""
        return read_mask(self.data.root / self._row(name)["mask"], self.labels, self.data.pictures)

    def prediction(self, name: str) -> Mask:
        """Return the predicted class indices: (H, W) uint8."""
        return self.read(name)

    def only(self, ids: list[str]) -> "OofLabels":
        """Return the part of these ids."""
        return replace(self, table=self.table[self.table["id"].isin(ids)])

    def counts(self) -> Counts:
        """Read every truth and prediction and count: (images, classes, 3), in the order of the table."""
        return np.stack([count_pixels(truth, prediction, len(self.labels)) for _, truth, prediction in self])

    def _row(self, name: str) -> dict[str, Any]:
        found = self.table[self.table["id"] == name]
        if found.empty:
            raise FoldsegError(f"{self.name}: has no OOF image {name}; it has e.g. {shorten(self.table['id'])}")
        return {str(key): value for key, value in found.iloc[0].items()}


def open_oof(source: Path, opened: OpenedData | None = None) -> OofLabels:
    """Open the OOF predictions of a run folder, an experiment's folder of runs, or a submission folder.

    `opened`: the data sets that are open already.

    FoldsegError when it is none of them, or its predictions are incomplete or older than the run's weights.
    """
    opened = opened or OpenedData()
    kind = require_kind(source, RunFolder, ExperimentFolder, SubmissionFolder, problem="holds no OOF predictions")
    if isinstance(kind, SubmissionFolder):
        return _of_submission(SubmissionFolder.open(source), opened)
    if isinstance(kind, ExperimentFolder):
        return _of_runs(kind.open_runs(), source.name, opened)
    return _of_runs([RunFolder.open(source)], "/".join(source.absolute().parts[-2:]), opened)


def _of_runs(runs: list[RunFolder], name: str, opened: OpenedData) -> OofLabels:
    data, labels = opened.open(runs[0].experiment.data), trained_labels(runs[0])
    stores = {run.fold: _checked_store(run, opened) for run in runs}
    for run in runs:
        warn_of_changes(run, data)
    table = data.folded[data.folded["fold"].isin(stores)]
    source = {str(row["id"]): stores[row["fold"]] for row in table.to_dict("records")}
    score = runs[0].experiment.score
    return OofLabels(name, data, labels, table, score, RESAMPLES, lambda image: _argmax(source[image], image))


def _argmax(store: PredictionStore, name: str) -> Mask:
    # `blend` of one map would only rescale each pixel, which does not change the largest
    return argmax(store.read(name).astype(np.float32))


def _checked_store(run: RunFolder, opened: OpenedData) -> PredictionStore:
    store = store_of(run, "oof")
    store.require_complete(expected_metadata(run, "oof", opened.open(run.experiment.data)))
    return store


def _of_submission(submission: SubmissionFolder, opened: OpenedData) -> OofLabels:
    """An ensemble's own label maps: the 8-bit PNGs of raw ids that it was scored with."""
    folder, config = submission.path, submission.read_settings()
    run = any_run(config)
    data, labels = opened.open(run.experiment.data), blended_labels(config, run)
    run.check_folds(data)
    for change in changes_since(folder, opened):
        logger.warning("%s: is not of what there is now: %s; run foldseg ensemble again", folder, change)
    if holds_other_label_maps(submission):
        logger.warning("%s: holds other label maps than those that were scored; run foldseg ensemble again", folder)
    facts = submission.read_scores()
    table = data.folded[data.folded["fold"].isin(facts["folds"])]
    maps = label_png.Submission(submission.oof, labels)
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
        facts["score"],
        config.bootstrap_samples,
        lambda name: maps.read(name, data.size_of(name)),
    )

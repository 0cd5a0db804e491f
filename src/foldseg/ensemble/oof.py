"""OOF images through an ensemble, and what is fitted on them: every image is scored by what was fitted on others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.data.labels import Mask
from foldseg.ensemble.image import Task, keep, process
from foldseg.ensemble.members import Members
from foldseg.ensemble.parallel import processed
from foldseg.ensemble.thresholds import (
    Categories,
    Thresholds,
    fit_thresholds,
    nested_parts,
    possible_categories,
    threshold_report,
)
from foldseg.files import scratch
from foldseg.inference.store import PredictionStore
from foldseg.scoring.counts import Counts
from foldseg.submission import label_png

Row = Mapping[str, Any]


@dataclass(frozen=True)
class OofResult:
    """Counts (stages, images, classes, 3) of the OOF images, and the thresholds for new ones, if a step fits them."""

    counts: Counts
    thresholds: Thresholds | None = None
    report: Mapping[Categories, dict[str, Any]] | None = None  # see `threshold_report`


def predict_oof(members: Members, oof: pd.DataFrame, folder: Path) -> OofResult:
    """Blend and score the OOF images, and write their label maps as PNGs into `folder`/oof.

    With a thresholds step this takes two passes: the first keeps the blends and counts for every threshold, the
    second takes that step and what follows, with the thresholds that were fitted without the image's own fold.
    """
    sources = {fold: members.sources("oof", fold) for fold in members.folds}
    tasks = [task_of(members, row, sources[row["fold"]]) for row in rows_of(oof)]
    if members.config.thresholds is None:
        return OofResult(_write_labels(members, tasks, folder / "oof"))
    names = [step.name for step in members.config.steps]
    fit_at = names.index("thresholds")
    with scratch(folder / "kept") as place:
        kept = PredictionStore(place)
        first, images = _keep(members, [replace(task, steps=task.steps[:fit_at], kept=kept) for task in tasks])
        parts = nested_parts(oof["fold"].tolist(), oof["group"].tolist())
        name = members.config.score
        fitted = {
            key: fit_thresholds(name, images[:, i], parts) for i, key in enumerate(possible_categories(members.labels))
        }
        chosen = fitted[members.config.thresholds.categories]
        later = [
            replace(task, steps=task.steps[fit_at:], kept=kept, thresholds=own)
            for task, own in zip(tasks, chosen.of_image, strict=True)
        ]
        second = _write_labels(members, later, folder / "oof")
    report = threshold_report(name, images, fitted, first[-1], members.labels)
    return OofResult(np.concatenate([first, second]), chosen.everything, report)


def _keep(members: Members, tasks: Sequence[Task]) -> tuple[Counts, NDArray[np.int32]]:
    """Counts (stages, images, classes, 3) and curves (images, categories, scored classes, 256, 3)."""
    counts: list[Counts] = []
    labels = members.labels
    images = np.empty((len(tasks), len(possible_categories(labels)), int(labels.scored.sum()), 256, 3), np.int32)
    for index, found in enumerate(processed(keep, tasks, members.config.workers, "blending OOF")):
        counts.append(found.counts)
        images[index] = found.curves
    return np.stack(counts, 1), images


def _write_labels(members: Members, tasks: Sequence[Task], folder: Path) -> Counts:
    """Process images of known truth, write their label maps; return counts (stages, images, classes, 3)."""
    counts: list[Counts] = []

    def label_maps() -> Iterator[tuple[str, Mask]]:
        for outcome in processed(process, tasks, members.config.workers, "scoring OOF"):
            assert outcome.counts is not None
            counts.append(outcome.counts)
            yield outcome.id, outcome.labels

    label_png.write(folder, label_maps(), members.labels)
    return np.stack(counts, 1)


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Rows of a samples table as mappings."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def task_of(members: Members, row: Row, sources: dict[str, list[PredictionStore]]) -> Task:
    """Return what is done to the image of a row of the samples table."""
    config, root = members.config, members.first.experiment.data.root
    weights = {member.name: member.weight for member in config.members}
    mask = root / row["mask"] if row["mask"] else None
    return Task(row["id"], root / row["image"], mask, sources, weights, members.into, config.steps, members.labels)

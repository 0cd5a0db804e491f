"""What every view of test-time augmentation gains on OOF images, so that harmful ones can be left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from foldseg.config.schema import PredictView, ScoreName, Tta
from foldseg.data.datasets import OpenedData
from foldseg.data.frames import FileFrames
from foldseg.data.labels import Mask
from foldseg.ensemble.blend import argmax
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import MEMORY_CURES, Predictor, select_split
from foldseg.inference.tta import MERGES, Merge, check_probabilities
from foldseg.report.tables import number, text_table
from foldseg.resources import explained_resources
from foldseg.runs.contents import warn_of_changes
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels
from foldseg.scoring.compare import Comparison, compare_models
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.intervals import warn_of_large_group
from foldseg.scoring.scores import score
from foldseg.views.eval_samples import eval_loader

_BAND = 1 << 16  # pixels of all views that are merged at a time


@dataclass(frozen=True)
class ViewGain:
    """The score of a view alone and of plain + view, each against plain; of all views without it, against all."""

    name: str
    alone: tuple[float, Comparison]
    with_plain: tuple[float, Comparison]
    all_without: tuple[float, Comparison]


@dataclass(frozen=True)
class TtaGains:
    """Scores of the plain view and of all views, these against plain; and what each view adds."""

    score: ScoreName
    images: int
    tta: Tta
    plain: float
    all: tuple[float, Comparison]
    views: list[ViewGain]

    @property
    def harmful(self) -> list[str]:
        """Views that make the plain one worse, or without which all others are better, beyond what chance explains.

        Both are asked since views that fail alike hide each other: all without one of them is hardly better.
        """
        return [
            view.name
            for view in self.views
            if view.with_plain[1].interval[1] < 0 or view.all_without[1].interval[0] > 0
        ]


def tta_gains(
    runs: Sequence[RunFolder],
    tta: Tta,
    view: PredictView | None = None,
    checkpoint: str = "best",
    device: str | None = None,
    name: ScoreName | None = None,
) -> TtaGains:
    """Predict the OOF images of an experiment's runs in every view and score the views, alone and together.

    `view`, `device` and `name` (the score): None for those that the runs remember. One image is in memory at a time.
    """
    if len(tta.views) < 2:
        raise FoldsegError("tta: has no view but the plain one; give e.g. --tta d4")
    labels, name = trained_labels(runs[0]), name or runs[0].experiment.score
    counts: list[Counts] = []
    tables, opened = [], OpenedData()
    for run in runs:
        data = opened.open(run.experiment.data)
        tables.append(select_split(run, "oof", data))
        warn_of_changes(run, data)
        with explained_resources(MEMORY_CURES):
            predictor = Predictor.load(run, device or run.experiment.device, view, checkpoint)
            frames = FileFrames.of(tables[-1], data.root, trained_labels(run), pictures=data.pictures)
            counts += _counts_of_images(run, predictor, frames, tta)
    groups = pd.concat(tables)["group"].to_numpy()
    warn_of_large_group(groups)
    plain, *rest = np.stack(counts, 1)  # (candidates, images, classes, 3), as `candidates` orders them
    others = len(tta.views) - 1
    alone, with_plain, without = rest[:others], rest[others : 2 * others], rest[2 * others + 1 :]
    everything = rest[2 * others]

    def against(ours: Counts, theirs: Counts) -> tuple[float, Comparison]:
        return score(name, ours, labels).value, compare_models(name, ours, theirs, labels, groups)

    views = [
        ViewGain(seen.name, against(alone[i], plain), against(with_plain[i], plain), against(without[i], everything))
        for i, seen in enumerate(tta.views[1:])
    ]
    return TtaGains(name, len(groups), tta, score(name, plain, labels).value, against(everything, plain), views)


def _counts_of_images(run: RunFolder, predictor: Predictor, frames: FileFrames, tta: Tta) -> Iterator[Counts]:
    """Counts (candidates, classes, 3) of each image of a run."""
    samples = predictor.samples(frames, tta)
    loader = eval_loader(samples, run.experiment.workers)
    for sample in tqdm(loader, f"fold {run.fold}", len(samples), unit="image", leave=False, disable=None):
        maps = []
        for view, seen in predictor.views([sample], tta):
            check_probabilities(seen, view.name)
            maps.append(seen[0].half().cpu())  # half as large, and a thousandth of a probability changes no score
        found = candidates(maps, MERGES[tta.merge])
        yield np.stack([count_pixels(sample.mask, prediction, len(run.classes)) for prediction in found])


def candidates(views: Sequence[Tensor], merge: Merge) -> list[Mask]:
    """Views (classes, H, W), the plain one first -> label maps (H, W) uint8 of what could be made of them.

    These are: every view alone; plain + each other view; all views; all without each view but the plain one.
    """
    _, height, width = views[0].shape
    rows = max(1, _BAND // (width * len(views)))
    bands = [_band([view[:, top : top + rows].float() for view in views], merge) for top in range(0, height, rows)]
    return [np.concatenate(parts) for parts in zip(*bands, strict=True)]


def _band(views: list[Tensor], merge: Merge) -> list[Mask]:
    """As `candidates`. What is merged last is divided by the same at every class, so its largest is known before."""
    terms = [merge.term(view.clone()) for view in views]
    labels = [_largest(view) for view in views]
    labels += [_largest(merge.combine(terms[0].clone(), term)) for term in terms[1:]]
    after: list[Tensor | None] = [None]  # after[-1 - i]: all that comes after the i-th from the end, merged
    for term in reversed(terms[2:]):
        after.append(term if after[-1] is None else merge.combine(term.clone(), after[-1]))
    before, without = terms[0].clone(), []
    for term, later in zip(terms[1:], reversed(after), strict=True):
        without.append(_largest(before if later is None else merge.combine(before.clone(), later)))
        before = merge.combine(before, term)
    return [*labels, _largest(before), *without]


def _largest(maps: Tensor) -> Mask:
    return argmax(maps.numpy())


def gains_text(gains: TtaGains) -> str:
    """Return a table for the terminal; its last line says which views to leave out."""

    def told(found: tuple[float, Comparison]) -> list[str]:
        low, high = found[1].interval
        return [number(found[0]), f"{found[1].difference:+.4f}", f"{low:+.4f} to {high:+.4f}"]

    header = [gains.score, "alone", "- plain", "95% interval", "with plain", "- plain", "95% interval"]
    header += ["all without", "- all", "95% interval"]
    rows = [["plain", number(gains.plain), *[""] * 8]]
    rows += [[v.name, *told(v.alone), *told(v.with_plain), *told(v.all_without)] for v in gains.views]
    rows.append(["all", *[""] * 3, *told(gains.all), *[""] * 3])
    left_out = ", ".join([*gains.tta.without, *gains.harmful])
    return f"{text_table(header, rows)}\n\n{gains.images} OOF images\nwithout: [{left_out}]"

"""What every view of test-time augmentation gains on OOF images, so that harmful views can be left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from foldseg.config.schema import PredictView, ScoreName, Tta
from foldseg.data.datasets import OpenedData
from foldseg.data.frames import FileFrames
from foldseg.data.labels import LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.inference.class_rule import OVERLAPPING, argmax
from foldseg.inference.run_stores import MEMORY_CURES, Predictor, select_split
from foldseg.inference.tta import MERGES, Merge, check_probabilities
from foldseg.report.tables import format_number, format_table
from foldseg.resources import explain_resource_errors
from foldseg.runs.data_changes import warn_of_changes
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels
from foldseg.scoring.compare import Comparison, compare_models
from foldseg.scoring.counts import Counts, count_prediction
from foldseg.scoring.intervals import warn_of_large_group
from foldseg.scoring.scores import score
from foldseg.views.activation import SOFTMAX, Activation
from foldseg.views.eval_samples import eval_loader

_BAND = 1 << 16
"""Views are merged in bands of rows. A band has so many pixels in all views together."""


@dataclass(frozen=True)
class ViewGain:
    """Scores that tell what a view gains, each with its comparison to another score."""

    name: str
    alone: tuple[float, Comparison]
    """The view alone, compared with the plain view."""
    with_plain: tuple[float, Comparison]
    """The plain view and this one, compared with the plain view."""
    all_without: tuple[float, Comparison]
    """All views but this one, compared with all views."""


@dataclass(frozen=True)
class TtaGains:
    """Scores of the plain view, of all views, and of each view."""

    score: ScoreName
    images: int
    """Number of OOF images."""
    tta: Tta
    plain: float
    """The score of the plain view."""
    all: tuple[float, Comparison]
    """The score of all views, compared with the plain view."""
    views: list[ViewGain]

    @property
    def harmful(self) -> list[str]:
        """Views that significantly make the plain view worse, or without which all others are better.

        The second criterion alone is not enough. Of two views that fail in the same way, leaving out one hardly helps.
        """
        names = []
        for view in self.views:
            spoils_plain = view.with_plain[1].interval[1] < 0
            spoils_all = view.all_without[1].interval[0] > 0
            if spoils_plain or spoils_all:
                names.append(view.name)
        return names


def measure_tta_gains(
    runs: Sequence[RunFolder],
    tta: Tta,
    view: PredictView | None = None,
    checkpoint: str = "best",
    device: str | None = None,
    name: ScoreName | None = None,
) -> TtaGains:
    """Predict the OOF images of an experiment's runs in every view, and score the views, alone and together.

    `name`: the score. `view`, `device`, `name`: None for those of the runs. One image is in memory at a time.
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
        with explain_resource_errors(MEMORY_CURES):
            predictor = Predictor.load(run, device or run.experiment.device, view, checkpoint)
            frames = FileFrames.of(tables[-1], data.root, trained_labels(run), pictures=data.pictures)
            counts += _count_images(run, predictor, frames, tta, labels)
    groups = pd.concat(tables)["group"].to_numpy()
    warn_of_large_group(groups)
    # (candidates, images, classes, 3), in the order of `merge_candidates`
    plain, *candidates = np.stack(counts, 1)
    number = len(tta.views) - 1
    alone, with_plain = candidates[:number], candidates[number : 2 * number]
    all_views, all_without = candidates[2 * number], candidates[2 * number + 1 :]

    def compare(ours: Counts, theirs: Counts) -> tuple[float, Comparison]:
        return score(name, ours, labels).value, compare_models(name, ours, theirs, labels, groups)

    gains = []
    for index, tta_view in enumerate(tta.views[1:]):
        gain_alone, gain_with_plain = compare(alone[index], plain), compare(with_plain[index], plain)
        gains.append(ViewGain(tta_view.name, gain_alone, gain_with_plain, compare(all_without[index], all_views)))
    return TtaGains(name, len(groups), tta, score(name, plain, labels).value, compare(all_views, plain), gains)


def _count_images(
    run: RunFolder, predictor: Predictor, frames: FileFrames, tta: Tta, labels: LabelSet
) -> Iterator[Counts]:
    """Yield the counts (candidates, classes, 3) of each image of a run."""
    samples = predictor.samples(frames, tta)
    loader = eval_loader(samples, run.experiment.workers)
    for sample in tqdm(loader, f"fold {run.fold}", len(samples), unit="image", leave=False, disable=None):
        maps = []
        for view, probabilities in predictor.views([sample], tta):
            check_probabilities(predictor.activation.to_alternatives(probabilities), view.name)
            # fp16 takes half of the memory; its error of a thousandth changes no score
            maps.append(probabilities[0].half().cpu())
        predictions = merge_candidates(maps, MERGES[tta.merge], predictor.activation)
        yield np.stack([count_prediction(sample.mask, prediction, labels) for prediction in predictions])


def merge_candidates(views: Sequence[Tensor], merge: Merge, activation: Activation = SOFTMAX) -> list[Mask]:
    """Return the label maps (H, W) uint8 of all combinations of views that are scored.

    `views`: probability maps (classes, H, W), the plain view first. The combinations are, in this order: every view
    alone; the plain view with each other one; all views; all views without each one but the plain one.
    """
    _, height, width = views[0].shape
    rows = max(1, _BAND // (width * len(views)))
    bands = []
    for top in range(0, height, rows):
        band = [view[:, top : top + rows].float() for view in views]
        bands.append(_merge_band([activation.to_alternatives(view) for view in band], merge, activation))
    return [np.concatenate(parts) for parts in zip(*bands, strict=True)]


def _merge_band(views: list[Tensor], merge: Merge, activation: Activation) -> list[Mask]:
    """Return what `merge_candidates` returns, for a band of rows. `views`: probabilities of alternatives.

    Merging ends with a division by the same number for every class. It does not change the largest class, so it is left
    out.
    """
    terms = [merge.term(view.clone()) for view in views]
    labels = [_decide(view, activation) for view in views]
    labels += [_decide(merge.combine(terms[0].clone(), term), activation) for term in terms[1:]]
    merged_after: list[Tensor | None] = [None]  # for each view, from the last one: all views after it, merged
    for term in reversed(terms[2:]):
        following = merged_after[-1]
        merged_after.append(term if following is None else merge.combine(term.clone(), following))
    merged_before, without = terms[0].clone(), []
    for term, following in zip(terms[1:], reversed(merged_after), strict=True):
        others = merged_before if following is None else merge.combine(merged_before.clone(), following)
        without.append(_decide(others, activation))
        merged_before = merge.combine(merged_before, term)
    return [*labels, _decide(merged_before, activation), *without]


def _decide(alternatives: Tensor, activation: Activation) -> Mask:
    """Return the mask (H, W) uint8 of the largest alternatives: class indices, or class bits."""
    if activation is SOFTMAX:
        return argmax(alternatives.numpy())
    of_class, of_absence = (alternatives.select(-3, place).numpy() for place in (0, 1))
    return OVERLAPPING.decide(of_class - of_absence, 0.0)


def format_gains(gains: TtaGains) -> str:
    """Return the gains as text. The last line says which views to leave out."""
    header = [gains.score, "alone", "- plain", "95% interval", "with plain", "- plain", "95% interval"]
    header += ["all without", "- all", "95% interval"]
    rows = [["plain", format_number(gains.plain), *[""] * 8]]
    for view in gains.views:
        rows.append([view.name, *_cells(view.alone), *_cells(view.with_plain), *_cells(view.all_without)])
    rows.append(["all", *[""] * 3, *_cells(gains.all), *[""] * 3])
    left_out = ", ".join([*gains.tta.without, *gains.harmful])
    return f"{format_table(header, rows)}\n\n{gains.images} OOF images\nwithout: [{left_out}]"


def _cells(gain: tuple[float, Comparison]) -> list[str]:
    """Return a score, its difference to another one, and the 95% interval of that."""
    value, comparison = gain
    low, high = comparison.interval
    return [format_number(value), f"{comparison.difference:+.4f}", f"{low:+.4f} to {high:+.4f}"]

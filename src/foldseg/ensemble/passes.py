"""Passes over all images: each takes a part of the line of steps, and keeps maps for the next one.

A step that is fitted has to see all OOF images before it can be taken. So the line is cut before each such step: a pass
ends there, the step is fitted on what the pass observed, and the next pass begins with the maps that this one kept.

Imported by worker processes, so neither this module nor what it imports may need torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.data.labels import Mask
from foldseg.ensemble.disagreement import observe_members
from foldseg.ensemble.final import FinalPredictions
from foldseg.ensemble.image import ImageTask, blend_members
from foldseg.ensemble.line import Line, Taken, count_probability_steps, is_fitted
from foldseg.ensemble.operation import Observation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.ensemble.steps import build_operation
from foldseg.errors import FoldsegError
from foldseg.inference.store import PredictionStore
from foldseg.scoring.counts import Counts, count_prediction


@dataclass(frozen=True)
class PassRange:
    """The part of the line that a pass takes."""

    start: int | None = None
    """Number of steps that its first maps already went through. None: it begins with the members."""
    end: int | None = None
    """Place of the step before which the pass ends, and for which it observes. None: it takes all steps."""
    keeps_maps: bool = False
    """Whether the pass keeps maps for the next one. Otherwise the next one begins with the same maps."""


def plan_passes(steps: Sequence[Step]) -> list[PassRange]:
    """Cut the line before each step that is fitted.

    Only probabilities are kept between two passes. Steps on labels come after them; they are quick, and taken again.
    """
    ranges: list[PassRange] = []
    start: int | None = None
    for place, step in enumerate(steps):
        if not is_fitted(step):
            continue
        kept = count_probability_steps(steps, place)
        ranges.append(PassRange(start, place, keeps_maps=start is None or kept > start))
        start = kept
    return [*ranges, PassRange(start)]


@dataclass(frozen=True)
class Pass:
    """One pass over images: what is the same for all of them."""

    spec: EnsembleSpec
    range: PassRange = PassRange()
    source: PredictionStore | None = None
    """The maps that the pass begins with. None: it begins with the members."""
    kept: PredictionStore | None = None
    """Where maps are kept for the next pass, if they are."""
    final: FinalPredictions | None = None
    """Where the predictions after all steps are written, if they are."""
    fitted_on_all: Line | None = None
    """The steps as fitted on all OOF images. Used only for a second score, which is too optimistic."""
    max_bytes: int = 0
    """What observations of single pixels may take per image, about. 0: nothing is observed."""

    def outputs_of(self, name: str) -> list[Path]:
        """Return the files that the pass writes for one image."""
        kept = [] if self.kept is None else [self.kept.file_of(name)]
        final = [] if self.final is None else self.final.files_of(name)
        return kept + final


@dataclass(frozen=True)
class Tally:
    """What a pass counted and observed of one image. What is not known or not asked for is empty."""

    counts: Counts
    """(stages, classes, 3) of each member and the blend, if the pass begins with them, and of each step taken."""
    counts_on_all: Counts
    """(steps taken, classes, 3) with parameters that were fitted on all OOF images."""
    disagreement: Observation
    """Where the members disagree (see `observe_members`)."""
    observed: Observation
    """What the step at the end of the pass is fitted from."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as arrays by name, to be written to a file."""
        members = {f"members/{key}": value for key, value in self.disagreement.items()}
        observed = {f"observed/{key}": value for key, value in self.observed.items()}
        return {"counts": self.counts, "counts_on_all": self.counts_on_all, **members, **observed}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> "Tally":
        """Return the tally of which `arrays` were written."""
        return Tally(
            arrays["counts"],
            arrays["counts_on_all"],
            _select_below(arrays, "members/"),
            _select_below(arrays, "observed/"),
        )


def _select_below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Observation:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def run_pass(plan: Pass, task: ImageTask) -> Tally:
    """Take one image along a pass: write what the pass keeps, and return what it counts and observes."""
    context = task.context(plan.spec)
    truth = task.read_truth(plan.spec.labels)
    counts: list[Counts] = []
    counts_on_all: list[Counts] = []
    disagreement: Observation = {}
    observed: Observation = {}

    if plan.source is not None:
        prediction = Prediction.of_maps(_read_kept(plan.source, task.id), plan.spec.labels)
    else:
        prediction, counts = _blend(context, truth)
        if truth is not None and plan.max_bytes and len(task.members) > 1:
            disagreement = observe_members(context, prediction.labels, truth, plan.max_bytes)

    for taken in task.line.walk(prediction, context, plan.range.start or 0, plan.range.end):
        prediction = taken.after
        if truth is None:
            continue
        counts.append(prediction.count(truth, plan.spec.labels))
        on_all = _take_as_fitted_on_all(plan, task, taken, context)
        counts_on_all.append(counts[-1] if on_all is None else on_all.count(truth, plan.spec.labels))

    if plan.kept is not None:
        plan.kept.write(task.id, prediction.quantised())
    if plan.final is not None:
        plan.final.write(task.id, prediction)
    if plan.range.end is not None and task.is_observed and truth is not None:
        before = task.line.rounded(prediction, plan.range.end)
        operation = build_operation(task.line.steps[plan.range.end])
        observed = operation.observe(before, truth, context, plan.max_bytes)
    classes = len(plan.spec.labels)
    return Tally(_stacked(counts, classes), _stacked(counts_on_all, classes), disagreement, observed)


def _blend(context: ImageContext, truth: Mask | None) -> tuple[Prediction, list[Counts]]:
    """Blend the members; count each of them, and the blend."""
    counts: list[Counts] = []
    members = len(context.spec.members)

    def count_member(labels: Mask) -> None:
        if truth is not None and members > 1:
            counts.append(count_prediction(truth, labels, context.labels))

    blend = blend_members(context, count_member)
    if truth is not None:
        counts.append(blend.count(truth, context.labels))
        if members == 1:
            counts = counts * 2  # the only member is the blend
    return blend, counts


def _stacked(counts: Sequence[Counts], classes: int) -> Counts:
    return np.stack(counts) if counts else np.empty((0, classes, 3), np.int64)


def _take_as_fitted_on_all(plan: Pass, task: ImageTask, taken: Taken, context: ImageContext) -> Prediction | None:
    """Take a step again as it was fitted on all OOF images. None if it was taken with the same parameters."""
    on_all = plan.fitted_on_all.params[taken.place] if plan.fitted_on_all else None
    if on_all is None or _are_same(on_all, task.line.params[taken.place]):
        return None
    return task.line.take(taken.place, taken.before, context, on_all)


def _are_same(params: Params, other: Params | None) -> bool:
    return other is not None and all(np.array_equal(value, other[key]) for key, value in params.items())


def _read_kept(store: PredictionStore, name: str) -> NDArray[np.uint8]:
    try:
        return store.read(name)
    except FoldsegError as error:
        raise FoldsegError(
            f"{store.path}: what was kept of {name} cannot be read; remove {store.path.parents[1]} and give the same "
            "command again"
        ) from error

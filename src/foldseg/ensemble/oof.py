"""OOF images through an ensemble, and what is fitted on them: every image is scored by what was fitted on others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.ensemble.fitting import fit_step, is_worth_taking, log_decision, nested_parts, spread_evenly
from foldseg.ensemble.line import Line, is_fitted
from foldseg.ensemble.members import Members
from foldseg.ensemble.operation import Observation
from foldseg.ensemble.pass_folder import PassFolder
from foldseg.ensemble.passes import Pass, PassRange, plan_passes
from foldseg.ensemble.sample import MAX_BYTES
from foldseg.inference.store import PredictionStore
from foldseg.scoring.compare import Comparison, compare_models
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import score
from foldseg.submission import label_png


@dataclass(frozen=True)
class StepGain:
    """What a step gained on OOF, nested: each image is scored with what was fitted without its own part."""

    gain: Comparison
    same_oof: float
    """Score of the step's stage with what was fitted on all images. It is too good if something was fitted."""
    is_forced: bool
    """Whether the step is taken only because its settings say `force`."""


@dataclass(frozen=True)
class OofResult:
    """The scores and fitted parameters that came of the OOF images."""

    counts: Counts
    """(stages, images, classes, 3), nested. Stages are the members, the blend and the steps that are taken."""
    line: Line
    """For new images: what was fitted on all OOF images, and which steps are left out."""
    gains: Mapping[int, StepGain]
    """By place, of every step, also of those that are left out."""
    descriptions: Mapping[int, Mapping[str, Any]]
    """By place, of every step that was fitted: what score.json says of its parameters."""
    disagreements: Sequence[Observation]
    """Where the members disagree, image by image. Empty if there is one member."""


def predict_oof(members: Members, folder: Path, work: Path) -> OofResult:
    """Blend and score the OOF images, fit what is to be fitted, and write their label maps as PNGs into `folder`/oof.

    Every fitted step takes one more pass over the images. A step that is not worth taking (see `is_worth_taking`) is
    left out, and the pass that took it is made again without it. Each pass keeps what it makes of an image in `work`,
    so an ensemble that was stopped goes on where it was. The caller removes `work` when all is done.
    """
    evaluation = _OofEvaluation(members, work)
    for planned in plan_passes(members.config.steps):
        while (place := evaluation.take(planned)) is not None:
            evaluation.leave_out(place)
        if planned.end is not None:
            evaluation.fit(planned.end)
    evaluation.write_labels(folder / "oof")
    return evaluation.result()


@dataclass(frozen=True)
class _StageCounts:
    """Counts of the stages, (images, classes, 3) each."""

    members_and_blend: Sequence[Counts]
    steps: Mapping[int, Counts]
    """By the place of the step."""

    def before(self, place: int) -> Counts:
        """Return the counts of the stage before the step at a place."""
        earlier = [counted for counted in self.steps if counted < place]
        return self.steps[max(earlier)] if earlier else self.members_and_blend[-1]

    def updated(self, counts: Sequence[Counts], places: Sequence[int]) -> "_StageCounts":
        """Add what a pass counted: of members and blend, if it began with them, and of the steps at these places."""
        first = len(counts) - len(places)
        steps = {**self.steps, **dict(zip(places, counts[first:], strict=True))}
        return _StageCounts(counts[:first] or self.members_and_blend, steps)

    def stacked(self) -> Counts:
        """Return (stages, images, classes, 3), in the order of the line."""
        return np.stack([*self.members_and_blend, *(self.steps[place] for place in sorted(self.steps))])


class _OofEvaluation:
    """What the passes over OOF images have counted, fitted and left out so far."""

    def __init__(self, members: Members, work: Path) -> None:
        oof, steps = members.oof, members.config.steps
        self._members, self._work = members, work
        self._groups = oof["group"].to_numpy()
        self._parts = np.zeros(len(oof), np.intp)
        if any(map(is_fitted, steps)):
            self._parts = nested_parts(oof["fold"].tolist(), oof["group"].tolist())
        self._line = Line.of(steps)  # as fitted on all images
        self._line_without = dict.fromkeys(self._parts.tolist(), self._line)  # part -> as fitted on the others
        self._tasks = members.oof_tasks(self._line)
        self._source: PredictionStore | None = None  # maps that the next pass begins with
        self._last_pass: PassFolder | None = None
        self._counts = _StageCounts([], {})
        self._judged = 0  # steps before this place have been judged
        self._gains: dict[int, StepGain] = {}
        self._descriptions: dict[int, Mapping[str, Any]] = {}
        self._disagreements: list[Observation] = []
        self._observations: list[Observation] = []  # for the step that is fitted next

    def take(self, planned: PassRange) -> int | None:
        """Take all images along a pass. Return the place of the first step that is not worth taking, if there is one.

        In that case, the other results of the pass are dropped.
        """
        folder = self._open(planned)
        end = len(self._line.steps) if planned.end is None else planned.end
        description = "scoring OOF" if planned.end is None else f"OOF, for {self._line.steps[end].kind}"
        tallies = list(folder.run(self._members.config.workers, description))

        places = [place for place in self._line.places if (planned.start or 0) <= place < end]
        counts = self._counts.updated(list(np.stack([tally.counts for tally in tallies], 1)), places)
        counts_on_all = np.stack([tally.counts_on_all for tally in tallies], 1)
        for place, on_all in zip(places, counts_on_all, strict=True):
            if place >= self._judged and not self._judge(place, counts, on_all):
                return place

        self._counts, self._judged = counts, end
        self._source = folder.plan.kept or self._source
        self._observations = [tally.observed for tally in tallies]
        self._disagreements = self._disagreements or [tally.disagreement for tally in tallies if tally.disagreement]
        self._last_pass = folder
        return None

    def _open(self, planned: PassRange) -> PassFolder:
        """Open the folder of a pass over all images, with what was fitted and left out so far."""
        observed = set(self._images_for(planned.end).tolist())
        tasks = []
        for index, (task, part) in enumerate(zip(self._tasks, self._parts.tolist(), strict=True)):
            tasks.append(replace(task, line=self._line_without[part], is_observed=index in observed))
        max_bytes = MAX_BYTES // len(tasks)
        plan = Pass(self._members.spec, planned, self._source, fitted_on_all=self._line, max_bytes=max_bytes)
        return PassFolder.open(self._work, "oof", plan, tasks)

    def _judge(self, place: int, counts: _StageCounts, on_all: Counts) -> bool:
        """Compare a step with the stage before it, and note its gain. Return whether it is taken."""
        spec, step = self._members.spec, self._line.steps[place]
        samples = self._members.config.bootstrap_samples
        gain = compare_models(spec.score, counts.steps[place], counts.before(place), spec.labels, self._groups, samples)
        is_worth = is_worth_taking(step, gain)
        is_forced = step.force and not is_worth
        self._gains[place] = StepGain(gain, score(spec.score, on_all, spec.labels).value, is_forced)
        if not is_worth:
            log_decision(step, gain, is_forced)
        return is_worth or is_forced

    def leave_out(self, place: int) -> None:
        """Go on without the step at a place."""
        self._line = self._line.without(place)
        self._line_without = {part: line.without(place) for part, line in self._line_without.items()}

    def fit(self, place: int) -> None:
        """Fit the step at a place on what was observed before it."""
        observed = self._images_for(place)
        observations = [self._observations[index] for index in observed]
        before = self._counts.before(place)[observed]
        fitted = fit_step(self._line.steps[place], observations, self._parts[observed], before, self._members.spec)
        self._descriptions[place] = fitted.description
        self._line = self._line.with_params(place, fitted.on_all)
        for part, line in self._line_without.items():
            self._line_without[part] = line.with_params(place, fitted.for_part(part))

    def _images_for(self, place: int | None) -> NDArray[np.intp]:
        """Return the indices of the images that the step at a place is fitted on."""
        number = len(self._tasks)
        most = number if place is None else self._line.steps[place].images_to_fit(number)
        return spread_evenly(number, most)

    def write_labels(self, folder: Path) -> None:
        """Write the final label maps as PNGs of raw ids or, if classes overlap, of class bits, after all passes."""
        assert self._last_pass is not None
        final = self._last_pass.final
        maps = ((task.id, final.read_labels(task.id)) for task in self._tasks)
        label_png.write(folder, maps, self._members.labels.with_bits_as_ids())

    def result(self) -> OofResult:
        """Return counts, gains and the fitted line, after all passes."""
        line = self._line
        params = tuple(None if place in line.left_out else fitted for place, fitted in enumerate(line.params))
        line = replace(line, params=params)
        return OofResult(self._counts.stacked(), line, self._gains, self._descriptions, self._disagreements)

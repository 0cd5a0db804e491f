"""OOF images through an ensemble, and what is fitted on them: every image is scored by what was fitted on others."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.data.hashes import hash_code, hash_files
from foldseg.ensemble.fitting import Fitted, fit_step, is_worth_taking, nested_parts, say_worth, spread
from foldseg.ensemble.image import Leg, Task, labels_of, part_of, process
from foldseg.ensemble.line import Line, kept_after
from foldseg.ensemble.members import Members
from foldseg.ensemble.sample import BYTES, Arrays
from foldseg.ensemble.scene import Params
from foldseg.ensemble.steps import STEPS
from foldseg.ensemble.work import Outcome, Work
from foldseg.inference.store import PredictionStore
from foldseg.scoring.compare import Comparison, paired
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import score
from foldseg.submission import label_png

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
_CODE = ("config", "data", "ensemble", "inference", "scoring")  # rooms whose code decides what comes of an image


@dataclass(frozen=True)
class Worth:
    """What a step gained on OOF, nested: on images whose own part it was not fitted on."""

    gain: Comparison
    same_oof: float  # score of its stage with what was fitted on all images: too good, where something was fitted
    forced: bool  # it is taken though it would have been left out


@dataclass(frozen=True)
class OofResult:
    """What came of the OOF images.

    `counts` (stages, images, classes, 3) are nested: of what was fitted without the image's fold. Stages are the
    members, the blend and the steps that are taken. `line` has what was fitted on all images, for new ones, and what is
    left out. `worth` is of every step, by its place; `facts` say of a fitted one what was fitted. `members` is what was
    observed of the members, image by image.
    """

    counts: Counts
    line: Line
    worth: Mapping[int, Worth]
    facts: Mapping[int, Mapping[str, Any]]
    members: Sequence[Arrays]


def plan(steps: Sequence[Step], members: int) -> list[Leg]:
    """Divide the way of OOF images into legs, each but the last of which ends before a step that is to be fitted.

    A leg starts from the probabilities that the one before kept; what comes after these is quick to do again.
    """
    legs: list[Leg] = []
    taken = counted = 0
    fitted = [place for place, step in enumerate(steps) if STEPS[type(step)].is_fitted(step)]
    for until, kept in zip([*fitted, None], [*kept_after(steps), None], strict=True):
        leg = Leg(taken=taken, counted=counted, until=until, members=not legs and members > 1)
        if until is not None and kept is not None:
            leg = replace(leg, keeps=not legs or kept > taken)
            taken, counted = kept, until
        legs.append(leg)
    return legs


def predict_oof(members: Members, folder: Path, work: Path) -> OofResult:
    """Blend and score the OOF images, fit what is to be fitted, and write their label maps as PNGs into `folder`/oof.

    Every fitted step takes one more pass over the images. A step that is not worth taking (see `is_worth_taking`) is
    left out, and the pass that took it is made again without it. What is made of an image is kept in `work`, so
    that an ensemble that was stopped goes on where it was; the caller removes that when all is done.
    """
    images = _OofImages(members, folder, work)
    for leg in plan(members.config.steps, len(members.config.members)):
        while (place := images.take(leg)) is not None:
            images.leave_out(place)
        if leg.until is not None:
            images.fit(leg.until)
    return images.result()


class _OofImages:
    """The OOF images of an ensemble on their way: what was counted, fitted and left out so far."""

    def __init__(self, members: Members, folder: Path, work: Path) -> None:
        oof = members.oof
        config, sources = members.config, {fold: members.sources("oof", fold) for fold in members.folds}
        most = BYTES // len(oof)
        is_fitted = any(STEPS[type(step)].is_fitted(step) for step in config.steps)
        self._members, self._folder, self._work = members, folder, work
        self._tasks = [replace(task_of(members, row, sources[row["fold"]]), most=most) for row in rows_of(oof)]
        self._parts = np.zeros(len(oof), np.intp)
        if is_fitted:
            self._parts = nested_parts(oof["fold"].tolist(), oof["group"].tolist())
        self._kept: PredictionStore | None = None
        self._counts: list[Counts] = []  # of each stage, (images, classes, 3)
        self._worth: dict[int, Worth] = {}
        self._facts: dict[int, Mapping[str, Any]] = {}
        self._seen: list[Arrays] = []  # of the members
        self._observed: list[Arrays] = []  # for the step that is fitted next

    def take(self, leg: Leg) -> int | None:
        """Take all images along a leg; return the place of a step that is not worth taking, if there is one.

        Then nothing of the leg is kept but what that step gained.
        """
        chosen = set(self._chosen(leg.until).tolist())
        leg = replace(leg, kept=self._kept)
        tasks = [replace(task, leg=replace(leg, observes=index in chosen)) for index, task in enumerate(self._tasks)]
        work = Work.of(self._work, "oof", facts_of(tasks))
        if leg.keeps:
            leg = replace(leg, keep=PredictionStore(work.folder / "maps"))
            tasks = [replace(task, leg=replace(task.leg, keep=leg.keep)) for task in tasks]
        what = "scoring OOF" if leg.until is None else f"OOF, for {tasks[0].line.steps[leg.until].kind}"
        gathered = _Gathered()
        outcomes = gathered.passing(work.outcomes(process, tasks, self._members.config.workers, what))
        if leg.until is None:
            maps = ((task.id, labels_of(one)) for task, one in zip(tasks, outcomes, strict=True))
            label_png.write(self._folder / "oof", maps, self._members.labels)
        else:
            deque(outcomes, maxlen=0)
        counts = [*self._counts, *np.stack(gathered.counts, 1)]
        if (place := self._judge(leg, counts, np.stack(gathered.same_oof, 1))) is not None:
            return place
        self._counts, self._observed = counts, gathered.observed
        self._seen = self._seen or gathered.members
        self._kept = leg.keep or leg.kept
        return None

    def _judge(self, leg: Leg, counts: Sequence[Counts], same_oof: Counts) -> int | None:
        """Compare each stage that a leg has counted with the one before; return the first step that is not worth it."""
        config, target, groups = self._members.config, self._members.target, self._members.oof["group"].to_numpy()
        line = self._tasks[0].line
        last = len(line.steps) if leg.until is None else leg.until
        places = [place for place in range(leg.counted, last) if place not in line.left_out]
        for place, after, before, same in zip(
            places, counts[len(counts) - len(places) :], counts[len(counts) - len(places) - 1 :], same_oof, strict=False
        ):
            step = line.steps[place]
            gain = paired(config.score, after, before, target.labels, groups, config.bootstrap_samples)
            worth = is_worth_taking(step, gain)
            forced = step.force and not worth
            self._worth[place] = Worth(gain, score(config.score, same, target.labels).value, forced)
            if not worth:
                say_worth(step, gain, forced)
            if not worth and not forced:
                return place
        return None

    def leave_out(self, place: int) -> None:
        """Go on without the step at a place."""
        self._tasks = [
            replace(task, line=replace(task.line, left_out=task.line.left_out | {place})) for task in self._tasks
        ]

    def fit(self, place: int) -> None:
        """Fit the step at a place on what was observed before it."""
        target, config = self._members.target, self._members.config
        step, chosen = config.steps[place], self._chosen(place)
        observations, parts = [self._observed[index] for index in chosen], self._parts[chosen]
        logger.info("fitting %s on %d OOF images", step.kind, len(observations))
        fitted = fit_step(step, observations, parts, target, [member.name for member in config.members])
        alternatives = STEPS[type(step)].compare(step, observations, parts, self._counts[-1][chosen], target)
        self._facts[place] = {**fitted.facts, **alternatives}
        self._tasks = [
            _with_params(task, place, fitted, int(part)) for task, part in zip(self._tasks, self._parts, strict=True)
        ]

    def _chosen(self, place: int | None) -> NDArray[np.intp]:
        """Return the places of the images from which a step is fitted."""
        number = len(self._tasks)
        steps = self._members.config.steps
        return spread(number, number if place is None else steps[place].images_to_fit(number))

    def result(self) -> OofResult:
        """Return what came of all, at the end of the way."""
        task = self._tasks[0]
        everything = enumerate(task.everything or task.line.params)
        params = tuple(None if place in task.line.left_out else fitted for place, fitted in everything)
        line = replace(task.line, params=params)
        return OofResult(np.stack(self._counts), line, self._worth, self._facts, self._seen)


class _Gathered:
    """What is kept of the outcomes of a leg; the rest, label maps above all, passes by."""

    def __init__(self) -> None:
        self.counts: list[Counts] = []
        self.same_oof: list[Counts] = []
        self.members: list[Arrays] = []
        self.observed: list[Arrays] = []

    def passing(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Yield outcomes as they come."""
        for outcome in outcomes:
            self.counts.append(outcome["counts"])
            self.same_oof.append(outcome["fitted"])
            if members := part_of(outcome, "members"):
                self.members.append(members)
            self.observed.append(part_of(outcome, "observed"))
            yield outcome


def _with_params(task: Task, place: int, fitted: Fitted, part: int) -> Task:
    own, everything = list(task.line.params), list(task.everything or task.line.params)
    # A part without an observed image is seen by none of the fits
    own[place], everything[place] = fitted.without.get(part, fitted.everything), fitted.everything
    return replace(task, line=replace(task.line, params=tuple(own)), everything=tuple(everything))


def facts_of(tasks: Sequence[Task]) -> dict[str, Any]:
    """Return all that the outcomes of tasks depend on, in plain types; what it is for: see `Work`."""
    first = tasks[0]
    stores = {store for task in tasks for part in task.sources.values() for store in part}
    files = [path for task in tasks for path in (task.image, task.mask) if path is not None]
    return {
        "code": hash_code(*_CODE),
        "files": hash_files(files),
        "labels": list(first.labels.definition.items()),
        "stores": {str(store.path): store.facts.checkpoint for store in sorted(stores, key=lambda s: s.path)},
        "images": [
            [
                task.id,
                [str(s.path) for part in task.sources.values() for s in part],
                _digest(task.line.params),
                task.leg.observes,
            ]
            for task in tasks
        ],
        "everything": _digest(first.everything),
        "steps": [step.model_dump(mode="json", exclude_none=True) for step in first.line.steps],
        "left_out": sorted(first.line.left_out),
        "score": first.target.score,
        "blend": first.target.blend.model_dump(mode="json"),
        "weights": first.target.weights,
        "most": first.most,
        "leg": [first.leg.taken, first.leg.counted, first.leg.until, first.leg.members, first.leg.keeps],
        "kept": None if first.leg.kept is None else str(first.leg.kept.path),
    }


def _digest(params: Sequence[Params | None]) -> str:
    found = sha256()
    for one in params:
        for name, value in sorted((one or {}).items()):
            found.update(name.encode() + np.ascontiguousarray(value).tobytes())
        found.update(b";")
    return found.hexdigest()


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Rows of a samples table as mappings."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def task_of(members: Members, row: Row, sources: dict[str, list[PredictionStore]]) -> Task:
    """Return what is done to the image of a row of the samples table."""
    data = members.data
    return Task(
        row["id"],
        data.root / row["image"],
        data.root / row["mask"] if row["mask"] else None,
        sources,
        members.into,
        members.target,
        Line.of(members.config.steps),
        pictures=data.pictures,
    )

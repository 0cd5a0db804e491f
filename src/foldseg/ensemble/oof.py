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
from foldseg.data.content import code_hash, file_hashes
from foldseg.ensemble.fitting import Fitted, fit_step, nested_parts, proven_weights, spread
from foldseg.ensemble.image import Leg, Task, labels_of, part_of, process
from foldseg.ensemble.members import Members
from foldseg.ensemble.sample import BYTES, Arrays
from foldseg.ensemble.scene import Params
from foldseg.ensemble.steps import GIVES_PROBABILITIES, STEPS
from foldseg.ensemble.steps.thresholds import compare_categories
from foldseg.ensemble.work import Outcome, Work
from foldseg.inference.store import PredictionStore
from foldseg.scoring.counts import Counts
from foldseg.submission import label_png

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
_CODE = ("config", "data", "ensemble", "inference", "scoring")  # rooms whose code decides what comes of an image


@dataclass(frozen=True)
class OofResult:
    """What came of the OOF images.

    `counts` (stages, images, classes, 3) are nested: of what was fitted without the image's fold. `same_oof` (steps,
    images, classes, 3) are of what was fitted on all images. `params` are fitted on all images, for new ones; `facts`
    say of a fitted step, by its place, what was fitted. `members` is what was observed of the members, image by image.
    """

    counts: Counts
    same_oof: Counts
    params: tuple[Params | None, ...]
    facts: Mapping[int, Mapping[str, Any]]
    members: Sequence[Arrays]


def plan(steps: Sequence[Step], members: int) -> list[Leg]:
    """Divide the way of OOF images into legs, each but the last of which ends before a step that is to be fitted.

    A leg starts from the probabilities that the one before kept; what comes after these is quick to do again.
    """
    legs: list[Leg] = []
    taken = counted = 0
    for until in [*(i for i, step in enumerate(steps) if STEPS[step.name].is_fitted(step.settings)), None]:
        leg = Leg(taken=taken, counted=counted, until=until, members=not legs and members > 1)
        if until is not None:
            known = sum(step.name in GIVES_PROBABILITIES for step in steps[:until])  # those come first
            leg = replace(leg, keeps=not legs or known > taken)
            taken, counted = known, until
        legs.append(leg)
    return legs


def predict_oof(members: Members, oof: pd.DataFrame, folder: Path) -> OofResult:
    """Blend and score the OOF images, fit what is to be fitted, and write their label maps as PNGs into `folder`/oof.

    Every fitted step takes one more pass over the images. What is made of an image is kept in `folder`/work, so that
    an ensemble that was stopped goes on where it was; the caller removes that when all is done.
    """
    config, sources = members.config, {fold: members.sources("oof", fold) for fold in members.folds}
    most = BYTES // len(oof)
    tasks = [replace(task_of(members, row, sources[row["fold"]]), most=most) for row in rows_of(oof)]
    legs = plan(config.steps, len(config.members))
    parts = nested_parts(oof["fold"].tolist(), oof["group"].tolist()) if len(legs) > 1 else np.zeros(len(oof), np.intp)
    gathered: list[_Gathered] = []
    facts: dict[int, Mapping[str, Any]] = {}
    kept: PredictionStore | None = None
    for leg in legs:
        chosen = _observed(config.steps, leg, len(oof))
        outcomes, kept = _take(tasks, replace(leg, kept=kept), chosen, folder / "work", config.workers)
        found = _Gathered()
        gathered.append(found)
        if leg.until is None:
            maps = ((task.id, labels_of(one)) for task, one in zip(tasks, found.passing(outcomes), strict=True))
            label_png.write(folder / "oof", maps, members.labels)
            break
        deque(found.passing(outcomes), maxlen=0)
        part = oof.iloc[chosen].assign(part=parts[chosen], place=chosen)
        fitted = _fit(members, leg.until, found, part)
        facts[leg.until] = fitted.facts
        tasks = [_with_params(task, leg.until, fitted, int(part)) for task, part in zip(tasks, parts, strict=True)]
    params = tasks[0].everything or (None,) * len(config.steps)
    counts = np.concatenate([np.stack(leg.counts, 1) for leg in gathered])
    same_oof = np.concatenate([np.stack(leg.same_oof, 1) for leg in gathered])
    return OofResult(counts, same_oof, params, facts, gathered[0].members)


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


def _observed(steps: Sequence[Step], leg: Leg, images: int) -> NDArray[np.intp]:
    """Return the places of the images from which the step at the end of a leg is fitted."""
    most = images if leg.until is None else getattr(steps[leg.until].settings, "fit_images", images)
    return spread(images, most)


def _take(
    tasks: Sequence[Task], leg: Leg, chosen: NDArray[np.intp], folder: Path, workers: int
) -> tuple[Iterator[Outcome], PredictionStore | None]:
    """Take all images along a leg; return what comes of them, and where the probabilities for the next leg will be."""
    observed = set(chosen.tolist())
    tasks = [replace(task, leg=replace(leg, observes=index in observed)) for index, task in enumerate(tasks)]
    work = Work.of(folder, "oof", facts_of(tasks))
    kept = PredictionStore(work.folder / "maps") if leg.keeps else leg.kept
    if leg.keeps:
        tasks = [replace(task, leg=replace(task.leg, keep=kept)) for task in tasks]
    what = "scoring OOF" if leg.until is None else f"OOF, for {tasks[0].steps[leg.until].name}"
    return work.outcomes(process, tasks, workers, what), kept


def _fit(members: Members, place: int, found: "_Gathered", images: pd.DataFrame) -> Fitted:
    """Fit the step at a place on what was gathered before it, of `images`: their `group`, `part` and `place`."""
    config, target = members.config, members.target
    step, parts = config.steps[place], images["part"].to_numpy()
    observations = [found.observed[index] for index in images["place"]]
    logger.info("fitting %s on %d OOF images", step.name, len(observations))
    fitted = fit_step(step, observations, parts, target, [member.name for member in config.members])
    if step.weights is not None:
        groups = images["group"].to_numpy()
        return proven_weights(fitted, observations, parts, groups, target, config.bootstrap_samples)
    if step.thresholds is not None:
        before = np.stack([found.counts[index][-1] for index in images["place"]])
        return replace(fitted, facts={**fitted.facts, **compare_categories(observations, parts, before, target)})
    return fitted


def _with_params(task: Task, place: int, fitted: Fitted, part: int) -> Task:
    none = (None,) * len(task.steps)
    own, everything = list(task.params or none), list(task.everything or none)
    # A part without an observed image is seen by none of the fits
    own[place], everything[place] = fitted.without.get(part, fitted.everything), fitted.everything
    return replace(task, params=tuple(own), everything=tuple(everything))


def facts_of(tasks: Sequence[Task]) -> dict[str, Any]:
    """Return all that the outcomes of tasks depend on, in plain types; what it is for: see `Work`."""
    first = tasks[0]
    stores = {store for task in tasks for part in task.sources.values() for store in part}
    files = [path for task in tasks for path in (task.image, task.mask) if path is not None]
    return {
        "code": code_hash(*_CODE),
        "files": file_hashes(files),
        "labels": list(first.labels.facts.items()),
        "stores": {str(store.path): store.facts.checkpoint for store in sorted(stores, key=lambda s: s.path)},
        "images": [
            [
                task.id,
                [str(s.path) for part in task.sources.values() for s in part],
                _digest(task.params),
                task.leg.observes,
            ]
            for task in tasks
        ],
        "everything": _digest(first.everything),
        "steps": [step.model_dump(mode="json", exclude_none=True) for step in first.steps],
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
    data = members.first.experiment.data
    return Task(
        row["id"],
        data.root / row["image"],
        data.root / row["mask"] if row["mask"] else None,
        sources,
        members.into,
        members.target,
        members.config.steps,
        pictures=data.pictures,
    )

"""One image through an ensemble, or a leg of its way: members, blend, steps; counts and labels come out.

This module is imported by worker processes, so neither it nor what it imports may need torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Pictures, Step
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import AS_SHOWN, read_image, read_mask
from foldseg.data.rle import Rle, encode_mask
from foldseg.ensemble.blend import Blender, Levels, Probabilities, argmax, merge_classes, weighted_sum
from foldseg.ensemble.disagreement import observe_members
from foldseg.ensemble.line import Line
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.ensemble.steps import STEPS
from foldseg.ensemble.work import Outcome
from foldseg.errors import FoldsegError
from foldseg.inference.store import PredictionStore, Quantised
from foldseg.scoring.counts import Counts, count_masks, count_pixels

_IN_MEMORY = 256 << 20  # bytes of members' maps that are kept rather than read again


@dataclass(frozen=True)
class Leg:
    """The part of an image's way that is taken at once: up to a step that is to be fitted, or to the end."""

    kept: PredictionStore | None = None  # of probabilities after `taken` steps, to start from; None: the members
    taken: int = 0
    counted: int = 0  # steps whose result has been counted already; those that are taken again are not counted again
    until: int | None = None  # the step before which the leg ends, to be observed for; None: there is none
    observes: bool = True  # whether this image is among those that the step is fitted on
    keeps: bool = False  # the last probabilities, for the next leg
    keep: PredictionStore | None = None  # where
    members: bool = False  # gather where the members disagree, too


@dataclass(frozen=True)
class Task:
    """What is done to one image; small, since it is sent to another process."""

    id: str
    image: Path
    mask: Path | None  # counts are made if there is one
    sources: dict[str, list[PredictionStore]]  # per member
    into: dict[str, NDArray[np.intp]]  # per member: for each of its classes the index in the target's labels
    target: Target
    line: Line  # for an OOF image with what was fitted without its fold
    everything: tuple[Params | None, ...] = ()  # fitted on all OOF images: counted beside, since that is too good
    most: int = 0  # bytes that may be kept of the image's pixels, where a step lists them
    leg: Leg = Leg()
    pictures: Pictures = AS_SHOWN  # how image and mask are read

    @property
    def labels(self) -> LabelSet:
        """The classes that are blended."""
        return self.target.labels


def stages(members: Sequence[str], steps: Sequence[Step]) -> list[str]:
    """Names of what is scored: every member by itself, the blend, and the blend after each step that is taken."""
    names = ["blend"]
    for step in steps:
        names.append(f"{names[-1]} + {step.kind}")
    return [*members, *names]


def scene_of(task: Task) -> Scene:
    """Return what steps may know of a task's image."""
    return Scene(
        task.id, partial(read_image, task.image, task.pictures), task.labels, task.target.blend, _members(task)
    )


def _members(task: Task) -> Callable[[], Iterator[Levels]]:
    return kept_or_again([partial(_member, task, name, stores) for name, stores in task.sources.items()], _IN_MEMORY)


def kept_or_again(members: Sequence[Callable[[], Levels]], most: int) -> Callable[[], Iterator[Levels]]:
    """Return what gives members' maps, made again whenever they are asked for unless all take at most so many bytes."""
    kept: list[Levels] = []

    def read() -> Iterator[Levels]:
        if len(kept) == len(members):
            yield from kept
            return
        kept.clear()
        for member in members:
            maps = member()
            if maps.nbytes * len(members) <= most:
                kept.append(maps)
            yield maps

    return read


def _member(task: Task, name: str, stores: list[PredictionStore]) -> Levels:
    """Mean over a member's folds."""
    share = 1 / len(stores)
    return weighted_sum(((merge_classes(store.read(task.id), task.into[name]), share) for store in stores), task.id)


def result_of(scene: Scene, target: Target, line: Line) -> Result:
    """Take an image all the way: blend the members with their given weights, take every step."""
    blender = _blender(target)
    for maps, weight in zip(scene.members(), target.weights, strict=True):
        blender.add(maps, weight, argmax(maps), scene.id)
    result = Result.of(blender.finish())
    for _, _, taken in line.walk(result, scene):
        result = taken
    return result


def _blender(target: Target) -> Blender:
    return Blender(type(target.blend), [target.labels.names.index(name) for name in target.blend.union])


def process(task: Task) -> Outcome:
    """Take an image along a leg.

    Returned are, where the truth is known, `counts` (stages, classes, 3) of the stages that are counted, and `fitted`
    (steps counted, classes, 3), the same with what was fitted on all images; `members/...`, where the members disagree,
    and `observed/...`, what the next step is fitted from, if they are asked for. At the end of the way also `labels`,
    an 8-bit PNG of class indices, and, where categories may overlap, `runs` with the `run_lengths` of each class.
    """
    scene, leg = scene_of(task), task.leg
    truth = read_mask(task.mask, task.labels, task.pictures) if task.mask else None
    outcome: Outcome = {}
    counts: list[Counts] = []
    if leg.kept is not None:
        result = Result.of_maps(_read_kept(leg.kept, task.id))
    else:
        result, counts = _blended(task, scene, truth)
    if truth is not None and leg.members:
        seen = observe_members(scene, result.labels, truth, task.most)
        outcome |= {f"members/{key}": value for key, value in seen.items()}
    more, fitted, result = _take_steps(task, scene, truth, result)
    if truth is not None:
        none = np.empty((0, len(task.labels), 3), np.int64)
        outcome["counts"] = np.concatenate([none, *(one[None] for one in counts + more)])
        outcome["fitted"] = np.concatenate([none, *(one[None] for one in fitted)])
    if leg.keep is not None:
        leg.keep.write(task.id, result.quantised())
    if leg.until is None:
        return outcome | _handed_in(result)
    if not leg.observes:
        return outcome
    assert truth is not None
    step = task.line.steps[leg.until]
    given = task.line.rounded(result, leg.until)
    observed = STEPS[type(step)].observe(step, given, truth, scene, task.target, task.most)
    return outcome | {f"observed/{key}": value for key, value in observed.items()}


def _read_kept(store: PredictionStore, name: str) -> Quantised:
    try:
        return store.read(name)
    except FoldsegError as error:
        raise FoldsegError(
            f"{store.path}: what was kept of {name} cannot be read; remove {store.path.parents[1]} and give the same "
            "command again"
        ) from error


def blended(task: Task) -> Probabilities:
    """Blend one image and take its steps, all of which give probabilities: (classes, H, W) float32."""
    return result_of(scene_of(task), task.target, task.line).as_probabilities()


def _blended(task: Task, scene: Scene, truth: Mask | None) -> tuple[Result, list[Counts]]:
    """Blend the members with their given weights; count each of them, and the blend."""
    counts: list[Counts] = []
    blender = _blender(task.target)
    for maps, weight in zip(scene.members(), task.target.weights, strict=True):
        top = argmax(maps)
        if truth is not None and len(task.sources) > 1:
            counts.append(count_pixels(truth, top, len(task.labels)))
        blender.add(maps, weight, top, task.id)
    result = Result.of(blender.finish())
    if truth is not None:
        counts.append(count_pixels(truth, result.labels, len(task.labels)))
        if len(task.sources) == 1:
            counts = counts * 2  # the only member is the blend
    return result, counts


def _take_steps(
    task: Task, scene: Scene, truth: Mask | None, result: Result
) -> tuple[list[Counts], list[Counts], Result]:
    counts: list[Counts] = []
    fitted: list[Counts] = []
    for place, given, taken in task.line.walk(result, scene, task.leg.taken, task.leg.until):
        result = taken
        if truth is None or place < task.leg.counted:
            continue
        counts.append(_count(truth, result, task.labels))
        other = task.everything[place] if task.everything else None
        if other is None or _same(other, task.line.params[place]):
            fitted.append(counts[-1])
        else:
            fitted.append(_count(truth, task.line.take(place, given, scene, other), task.labels))
    return counts, fitted, result


def _same(one: Params, other: Params | None) -> bool:
    return other is not None and all(np.array_equal(value, other[key]) for key, value in one.items())


def _count(truth: Mask, result: Result, labels: LabelSet) -> Counts:
    if result.masks is None:
        return count_pixels(truth, result.labels, len(labels))
    return count_masks(truth, result.masks)


def _handed_in(result: Result) -> Outcome:
    outcome: Outcome = {"labels": cv2.imencode(".png", result.labels)[1]}
    if result.masks is not None:
        runs = [encode_mask(mask) for mask in result.masks]
        outcome |= {"runs": np.concatenate(runs), "run_lengths": np.array([len(part) for part in runs])}
    return outcome


def labels_of(outcome: Outcome) -> Mask:
    """Return the class indices (H, W) uint8 of an image that came to the end of its way."""
    return np.asarray(cv2.imdecode(outcome["labels"], cv2.IMREAD_GRAYSCALE), np.uint8)


def masks_of(outcome: Outcome) -> Mask | list[Rle]:
    """Return what is handed in of such an image: class indices, or the RLE of every class if these may overlap."""
    if "runs" not in outcome:
        return labels_of(outcome)
    return np.split(outcome["runs"], np.cumsum(outcome["run_lengths"])[:-1])


def part_of(outcome: Outcome, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an outcome below a name: `observed`, `members`."""
    return {key.removeprefix(f"{name}/"): value for key, value in outcome.items() if key.startswith(f"{name}/")}

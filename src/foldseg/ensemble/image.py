"""One image through an ensemble: members, blend, steps; labels, masks and counts come out.

This module is imported by worker processes, so neither it nor what it imports may need torch.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import CleanUp, Step
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import read_image, read_mask
from foldseg.data.runs import Runs, runs_of_mask
from foldseg.ensemble.blend import Probabilities, added, argmax, merge_classes, normalised, weighted_sum
from foldseg.ensemble.clean_up import clean_up, clean_up_masks
from foldseg.ensemble.crf import dense_crf
from foldseg.ensemble.thresholds import (
    Curves,
    Thresholds,
    curves,
    labels_above,
    labels_of_masks,
    masks_above,
    possible_categories,
    quantised,
)
from foldseg.inference.store import PredictionStore, Quantised
from foldseg.scoring.counts import Counts, count_masks, count_pixels


@dataclass(frozen=True)
class Task:
    """What is done to one image; small, since it is sent to another process."""

    id: str
    image: Path
    mask: Path | None  # counts are made if there is one
    sources: dict[str, list[PredictionStore]]  # per member
    weights: dict[str, float]
    into: dict[str, NDArray[np.intp]]  # per member: for each of its classes the index in `labels`
    steps: tuple[Step, ...]
    labels: LabelSet
    thresholds: Thresholds | None = None  # for the step of that name
    kept: PredictionStore | None = None  # of blends: `keep` writes it; `process` reads it, instead of the members


@dataclass(frozen=True)
class Outcome:
    """Class indices (H, W) uint8, and where categories may overlap the runs of each; counts where there is a truth.

    Counts are (stages, classes, 3), in the order of `stages`; if a kept blend was read they begin after it.
    """

    id: str
    labels: Mask
    runs: list[Runs] | None
    counts: Counts | None


@dataclass(frozen=True)
class Kept:
    """Counts (stages, classes, 3) of a kept image; its curves, in the order of `possible_categories`."""

    counts: Counts
    curves: list[Curves]


@dataclass(frozen=True)
class Result:
    """What an image has come to: class indices, and masks (classes, H, W) bool as well if categories may overlap.

    There are either probabilities or, once they have been thresholded, quantised maps.
    """

    labels: Mask
    probabilities: Probabilities | None = None
    maps: Quantised | None = None
    masks: NDArray[np.bool_] | None = None

    def quantised(self) -> Quantised:
        """Return round(255 p), (classes, H, W) uint8."""
        if self.maps is not None:
            return self.maps
        assert self.probabilities is not None
        return quantised(self.probabilities)


def stages(members: list[str], steps: tuple[Step, ...]) -> list[str]:
    """Names of what is scored: every member by itself, the blend, and the blend after each step."""
    names = ["blend"]
    for step in steps:
        names.append(f"{names[-1]} + {step.name}")
    return [*members, *names]


def process(task: Task) -> Outcome:
    """Blend one image (or read its kept blend) and take every step; count every stage if the truth is known."""
    truth = read_mask(task.mask, task.labels) if task.mask else None
    counts: list[Counts] = []
    if task.kept is not None:
        maps = task.kept.read(task.id)
        result = Result(argmax(maps), maps=maps)
    else:
        counts, result = _blend(task, truth)
    more, result = _take_steps(task, truth, result)
    counts += more
    runs = None if result.masks is None else [runs_of_mask(mask) for mask in result.masks]
    return Outcome(task.id, result.labels, runs, np.stack(counts) if counts else None)


def keep(task: Task) -> Kept:
    """Blend one image of known truth, take every step, keep the probabilities, and count for every threshold."""
    assert task.mask is not None
    assert task.kept is not None
    truth = read_mask(task.mask, task.labels)
    counts, result = _blend(task, truth)
    more, result = _take_steps(task, truth, result)
    maps = result.quantised()
    task.kept.write(task.id, maps)
    possible = possible_categories(task.labels)
    return Kept(np.stack(counts + more), [curves(truth, maps, task.labels, categories) for categories in possible])


def blended(task: Task) -> Probabilities:
    """Blend one image and take its steps, all of which work on probabilities: (classes, H, W) float32."""
    result = _take_steps(task, None, _blend(task, None)[1])[1]
    assert result.probabilities is not None
    return result.probabilities


def _blend(task: Task, truth: Mask | None) -> tuple[list[Counts], Result]:
    counts: list[Counts] = []
    total: Probabilities | None = None
    for member, stores in task.sources.items():
        share, into = task.weights[member] / len(stores), task.into[member]
        own = weighted_sum(((merge_classes(store.read(task.id), into), share) for store in stores), task.id)
        if truth is not None and len(task.sources) > 1:
            counts.append(count_pixels(truth, argmax(own), len(task.labels)))  # whatever its scale
        total = own if total is None else added(total, own, task.id)
    assert total is not None  # an ensemble has a member
    probabilities = normalised(total)
    labels = argmax(probabilities)
    if truth is not None:
        counts.append(count_pixels(truth, labels, len(task.labels)))
        if len(task.sources) == 1:
            counts = counts * 2  # the only member is the blend
    return counts, Result(labels, probabilities)


def _take_steps(task: Task, truth: Mask | None, result: Result) -> tuple[list[Counts], Result]:
    counts: list[Counts] = []
    for step in task.steps:
        result = _take(step, task, result)
        if truth is not None:
            counts.append(_count(truth, result, task.labels))
    return counts, result


def _count(truth: Mask, result: Result, labels: LabelSet) -> Counts:
    if result.masks is None:
        return count_pixels(truth, result.labels, len(labels))
    return count_masks(truth, result.masks)


def _take(step: Step, task: Task, result: Result) -> Result:
    if step.crf is not None:
        assert result.probabilities is not None  # the configuration puts the CRF first
        probabilities = dense_crf(result.probabilities, read_image(task.image), step.crf)
        return Result(argmax(probabilities), probabilities)
    if step.thresholds is not None:
        assert task.thresholds is not None
        maps = result.quantised()
        if step.thresholds.categories == "overlapping":
            return _with_masks(maps, masks_above(maps, task.thresholds, task.labels), task.labels)
        return Result(labels_above(maps, task.thresholds, task.labels), maps=maps)
    assert step.clean_up is not None
    indices = class_indices(step.clean_up, task.labels)
    if result.masks is None:
        return replace(result, labels=clean_up(result.labels, step.clean_up.min_area, indices))
    masks = clean_up_masks(result.masks, step.clean_up.min_area, indices)
    return _with_masks(result.quantised(), masks, task.labels)


def _with_masks(maps: Quantised, masks: NDArray[np.bool_], labels: LabelSet) -> Result:
    return Result(labels_of_masks(masks, maps, labels), maps=maps, masks=masks)


def class_indices(config: CleanUp, labels: LabelSet) -> list[int] | None:
    """Indices of the classes whose components are removed; None for all."""
    return None if config.classes is None else [labels.names.index(name) for name in config.classes]

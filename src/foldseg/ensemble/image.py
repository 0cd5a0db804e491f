"""One image through an ensemble: members, blend, steps; labels and counts come out.

This module is imported by worker processes, so neither it nor what it imports may need torch.
"""

import multiprocessing
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from foldseg.config.schema import CleanUp, Step
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import read_image, read_mask
from foldseg.ensemble.blend import Probabilities, added, argmax, normalised, weighted_sum
from foldseg.ensemble.clean_up import clean_up
from foldseg.ensemble.crf import dense_crf
from foldseg.inference.store import PredictionStore
from foldseg.scoring.counts import Counts, count_pixels


@dataclass(frozen=True)
class Task:
    """What is done to one image; small, since it is sent to another process."""

    id: str
    image: Path
    mask: Path | None  # counts are made if there is one
    sources: dict[str, list[PredictionStore]]  # per experiment
    weights: dict[str, float]
    steps: tuple[Step, ...]
    labels: LabelSet


@dataclass(frozen=True)
class Outcome:
    """Class indices (H, W) uint8; where there is a truth, counts (stages, classes, 3) in the order of `stages`."""

    id: str
    labels: Mask
    counts: Counts | None


def stages(experiments: list[str], steps: tuple[Step, ...]) -> list[str]:
    """Names of what is scored: every experiment by itself, the blend, and the blend after each step."""
    names = ["blend"]
    for step in steps:
        names.append(f"{names[-1]} + {step.name}")
    return [*experiments, *names]


def process(task: Task) -> Outcome:
    """Blend one image and take every step; count the pixels of every stage if the truth is known."""
    truth = read_mask(task.mask, task.labels) if task.mask else None
    results: list[Mask] = []
    total: Probabilities | None = None
    for experiment, stores in task.sources.items():
        share = task.weights[experiment] / len(stores)
        own = weighted_sum(((store.read(task.id), share) for store in stores), task.id)
        if truth is not None:
            results.append(argmax(own))  # which class is largest does not depend on the scale
        total = own if total is None else added(total, own, task.id)
    assert total is not None  # an ensemble has a member
    probabilities = normalised(total)
    labels = argmax(probabilities)
    results.append(labels)
    for step in task.steps:
        probabilities, labels = _take(step, task, probabilities, labels)
        results.append(labels)
    counts = None
    if truth is not None:
        counts = np.stack([count_pixels(truth, result, len(task.labels)) for result in results])
    return Outcome(task.id, labels, counts)


def _take(step: Step, task: Task, probabilities: Probabilities, labels: Mask) -> tuple[Probabilities, Mask]:
    if step.crf is not None:
        probabilities = dense_crf(probabilities, read_image(task.image), step.crf)
        return probabilities, argmax(probabilities)
    assert step.clean_up is not None
    return probabilities, clean_up(labels, step.clean_up.min_area, class_indices(step.clean_up, task.labels))


def class_indices(config: CleanUp, labels: LabelSet) -> list[int] | None:
    """Indices of the classes whose components are removed; None for all."""
    return None if config.classes is None else [labels.names.index(name) for name in config.classes]


def start_worker() -> None:
    """Processes are the parallelism here; OpenCV's own threads would only fight them. End with the parent process."""
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A pool's workers hold its queue open themselves, so one whose parent was killed would wait for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""What is left out of an ensemble, if it would take too long, and how it predicts then.

The order is: test-time augmentation, then members from the least weight on, then folds of the last member. A member
that is left out does not change the blend's form: the mean of the others takes its place, so that steps which were
fitted for all members work as before.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from foldseg.data.channels import as_rgb
from foldseg.data.labels import Image
from foldseg.deploy.ensemble_source import EnsembleSource, MemberNetworks
from foldseg.deploy.interface import PLAIN
from foldseg.ensemble.blend import Levels
from foldseg.ensemble.image import cached_members, predict
from foldseg.ensemble.prediction import ImageContext, Prediction


@dataclass(frozen=True)
class Reduction:
    """An ensemble, or what remains of it."""

    left_out: str
    """What is left out in addition to the reduction before, in words; empty if nothing is."""
    members: tuple[MemberNetworks | None, ...]
    """The members in their order. None: left out."""

    def estimate(self, unit_seconds: NDArray[np.float64]) -> float:
        """Return the seconds that the networks take, if `unit_seconds` (members,) are what a cost of 1 takes."""
        costs = [0.0 if member is None else member.cost for member in self.members]
        return float(unit_seconds @ np.array(costs))


def list_reductions(source: EnsembleSource) -> list[Reduction]:
    """Return the whole ensemble, and then what remains of it, each with more left out than the one before."""
    members: list[MemberNetworks | None] = list(source.members)
    reductions = [Reduction("", tuple(members))]
    if any(len(member.tta.views) > 1 for member in source.members):
        members = [replace(member, tta=PLAIN) for member in source.members]
        reductions.append(Reduction("test-time augmentation", tuple(members)))
    names, weights = source.spec.members, source.spec.weights
    order = sorted(range(len(members)), key=lambda index: (weights[index], -index))
    for index in order[:-1]:
        members[index] = None
        reductions.append(Reduction(f"member {names[index]} (weight {weights[index]:g})", tuple(members)))
    last = order[-1]
    remaining = members[last]
    assert remaining is not None
    for folds in range(len(remaining.predictors) - 1, 0, -1):
        members[last] = replace(remaining, predictors=remaining.predictors[:folds])
        reductions.append(Reduction(f"one of {folds + 1} folds of {names[last]}", tuple(members)))
    return reductions


def predict_reduced(
    source: EnsembleSource, reduction: Reduction, name: str, picture: Image
) -> tuple[Prediction, NDArray[np.float64]]:
    """Predict a picture with what remains of an ensemble. Return the prediction, and the seconds of each member."""
    seconds = np.zeros(len(reduction.members))
    maps: list[Levels | None] = []
    for index, member in enumerate(reduction.members):
        if member is None:
            maps.append(None)
            continue
        start = time.monotonic()
        maps.append(member.levels(picture))
        seconds[index] = time.monotonic() - start
    readers = [partial(_return, levels) for levels in _fill_gaps(maps, source.spec.weights)]
    context = ImageContext(name, source.spec, lambda: as_rgb(picture), cached_members(readers, 0))
    return predict(context, source.line), seconds


def _return(levels: Levels) -> Levels:
    return levels


def _fill_gaps(maps: Sequence[Levels | None], weights: NDArray[np.float64]) -> list[Levels]:
    """Return the maps of all members. Those that are left out have the weighted mean of the others."""
    present = [(levels, weight) for levels, weight in zip(maps, weights, strict=True) if levels is not None]
    if len(present) == len(maps):
        return [levels for levels, _ in present]
    total = sum(weight for _, weight in present)
    mean: Levels = np.zeros_like(present[0][0])
    for levels, weight in present:
        mean += levels * np.float32(weight / total)
    return [mean if levels is None else levels for levels in maps]

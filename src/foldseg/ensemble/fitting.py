"""Fitting a step on OOF: once on all images, for new ones, and once without each part, for the images of that part."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.ensemble.operation import Observation
from foldseg.ensemble.prediction import EnsembleSpec, Params
from foldseg.ensemble.sample import PixelSample
from foldseg.ensemble.steps import build_operation
from foldseg.errors import FoldsegError
from foldseg.scoring.compare import Comparison
from foldseg.scoring.counts import Counts

logger = logging.getLogger(__name__)

_PARTS = 5
"""Number of parts that the OOF images are divided into if they are all of one fold."""


@dataclass(frozen=True)
class Fitted:
    """The parameters that were fitted for a step."""

    on_all: Params
    """Fitted on all OOF images."""
    without: Mapping[int, Params]
    """Part -> fitted on the images of all other parts."""
    description: Mapping[str, Any]
    """What score.json says of them."""

    def for_part(self, part: int) -> Params:
        """Return the parameters that were fitted without a part, or `on_all` if no image of the part was observed."""
        return self.without.get(part, self.on_all)


def nested_parts(folds: Sequence[int], groups: Sequence[str]) -> NDArray[np.intp]:
    """Divide OOF images into parts, each of which is scored with what was fitted on the others. Return (images,).

    The parts are the folds. If there is only one fold, its groups are divided into five parts. FoldsegError if there is
    only one group, too.
    """
    if len(set(folds)) > 1:
        return np.unique(np.asarray(folds), return_inverse=True)[1]
    number = min(_PARTS, len(set(groups)))
    if number < 2:
        raise FoldsegError("steps: all OOF images are of one group; none are left to test on what is fitted")
    from sklearn.model_selection import GroupKFold  # here, since it takes seconds to import

    parts = np.empty(len(folds), np.intp)
    for part, (_, held_out) in enumerate(GroupKFold(number).split(parts, groups=groups)):
        parts[held_out] = part
    return parts


def fit_step(
    step: Step, observations: Sequence[Observation], parts: NDArray[np.intp], before: Counts, spec: EnsembleSpec
) -> Fitted:
    """Fit a step on what was observed of images.

    parts (images,): number of each image's part, from 0 on. before (images, classes, 3): counts before the step.
    """
    operation = build_operation(step)
    logger.info("fitting %s on %d OOF images", step.kind, len(observations))
    on_all = operation.fit(observations, spec)
    without = {}
    for left_out in np.unique(parts):
        others = [observation for observation, part in zip(observations, parts, strict=True) if part != left_out]
        without[int(left_out)] = operation.fit(others, spec)
    description: dict[str, Any] = {"fitted": operation.describe(on_all, spec)}
    if PixelSample.can_join(observations):
        sample = PixelSample.of(observations, spec.labels)
        description["pixels"] = "all" if sample.is_exact else f"a sample of {len(sample.truth)}"
    alternatives = operation.compare_alternatives(observations, parts, before, spec)
    return Fitted(on_all, without, {**description, **alternatives})


def spread_evenly(number: int, most: int) -> NDArray[np.intp]:
    """Return the places of at most `most` of `number` images, evenly spread."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def is_worth_taking(step: Step, gain: Comparison) -> bool:
    """Whether a step is taken, by its nested gain on OOF. A gain or loss is above noise if its 95% interval excludes 0.

    A step that must gain is taken if its gain is above noise. Any other step is taken unless its loss is above noise.
    """
    low, high = gain.interval
    return low > 0 if step.must_gain else not high < 0


def log_decision(step: Step, gain: Comparison, is_forced: bool) -> None:
    """Log that a step is left out, or is taken by force, and why."""
    low, high = gain.interval
    measured = f"its nested gain on OOF is {gain.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f})"
    if is_forced:
        logger.warning("%s is taken since its `force` says so; %s", step.kind, measured)
    elif step.must_gain:
        logger.info("%s is left out: %s, not above noise; force: true takes it", step.kind, measured)
    else:
        logger.warning("%s is left out: %s, a loss above noise; force: true takes it", step.kind, measured)

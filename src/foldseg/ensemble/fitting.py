"""Fitting a step on OOF: once on all images, for new ones, and once without each part, for the images of that part."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.ensemble.sample import Arrays, PixelSample
from foldseg.ensemble.scene import Params, Target
from foldseg.ensemble.steps import STEPS
from foldseg.errors import FoldsegError
from foldseg.scoring.compare import Comparison

logger = logging.getLogger(__name__)

_PARTS = 5  # that OOF images are divided into where there is only one fold


@dataclass(frozen=True)
class Fitted:
    """What was fitted for a step."""

    everything: Params  # on all images
    without: Mapping[int, Params]  # part -> on the images of all other parts
    facts: Mapping[str, Any]  # to be told to a reader


def nested_parts(folds: Sequence[int], groups: Sequence[str]) -> NDArray[np.intp]:
    """Divide OOF images into parts that are scored with what was fitted on the others: the folds.

    Where there is only one fold its groups are dealt into five parts; FoldsegError when there is only one group, too.
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
    step: Step, observations: Sequence[Arrays], parts: NDArray[np.intp], target: Target, members: Sequence[str]
) -> Fitted:
    """Fit a step on what was observed of images, whose `parts` (images,) are numbered from 0 on."""
    module = STEPS[type(step)]
    everything = module.fit(step, observations, target)
    without = {
        int(part): module.fit(step, [one for one, own in zip(observations, parts, strict=True) if own != part], target)
        for part in np.unique(parts)
    }
    facts: dict[str, Any] = {"fitted": module.describe(everything, target, members)}
    if "stands_for" in observations[0]:  # of single pixels
        sample = PixelSample.of(observations)
        facts["pixels"] = "all" if sample.is_exact else f"a sample of {len(sample.truth)}"
    return Fitted(everything, without, facts)


def spread(number: int, most: int) -> NDArray[np.intp]:
    """Return places of at most `most` of so many images, evenly spread."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def is_worth_taking(step: Step, gain: Comparison) -> bool:
    """Tell whether a step is taken, by its nested gain on OOF; noise is what the gain's 95% interval says.

    A step that has to gain is taken if its gain is above noise, any other one unless its loss is.
    """
    low, high = gain.interval
    return low > 0 if step.must_gain else not high < 0


def say_worth(step: Step, gain: Comparison, taken: bool) -> None:
    """Log that a step is left out, or is taken by force, and why."""
    low, high = gain.interval
    found = f"its nested gain on OOF is {gain.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f})"
    if taken:
        logger.warning("%s is taken since its `force` says so; %s", step.kind, found)
    elif step.must_gain:
        logger.info("%s is left out: %s, not above noise; force: true takes it", step.kind, found)
    else:
        logger.warning("%s is left out: %s, a loss above noise; force: true takes it", step.kind, found)

"""Fitting a step on OOF: once on all images, for new ones, and once without each part, for the images of that part."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.ensemble.disagreement import MemberSample
from foldseg.ensemble.sample import Arrays
from foldseg.ensemble.scene import Params, Target
from foldseg.ensemble.steps import STEPS
from foldseg.errors import FoldsegError
from foldseg.scoring.compare import paired

logger = logging.getLogger(__name__)

_PARTS = 5  # that OOF images are divided into where there is only one fold


@dataclass(frozen=True)
class Fitted:
    """What was fitted for a step. None: what it would change is not proven, and it changes nothing."""

    everything: Params | None  # on all images
    without: Mapping[int, Params | None]  # part -> on the images of all other parts
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
    module = STEPS[step.name]
    everything = module.fit(step.settings, observations, target)
    without = {
        int(part): module.fit(
            step.settings, [one for one, own in zip(observations, parts, strict=True) if own != part], target
        )
        for part in np.unique(parts)
    }
    return Fitted(everything, without, {"fitted": module.describe(everything, target, members)})


def spread(number: int, most: int) -> NDArray[np.intp]:
    """Return places of at most `most` of so many images, evenly spread."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def proven_weights(
    fitted: Fitted,
    observations: Sequence[Arrays],
    parts: NDArray[np.intp],
    groups: NDArray[Any],
    target: Target,
    bootstrap_samples: int,
) -> Fitted:
    """Return fitted weights if their nested gain over the given ones is above noise; otherwise the given ones stay.

    Noise is what the 95% interval of a paired bootstrap over `groups` (images,) says.
    """
    sample = MemberSample(observations, target)
    before = sample.counts(target.weights)
    nested = before.copy()
    for part, params in fitted.without.items():
        assert params is not None
        nested[parts == part] = sample.counts(params["weights"])[parts == part]
    gain = paired(target.score, nested, before, target.labels, groups, bootstrap_samples)
    assert fitted.everything is not None
    facts = {
        **fitted.facts,
        "given": target.value(before),
        "same_oof": sample.value(fitted.everything["weights"]),
        "nested": target.value(nested),
        "nested_gain": gain.difference,
        "interval": gain.interval,
        "pixels": "all" if sample.pixels.is_exact else f"a sample of {len(sample.pixels.truth)}",
        "kept": "fitted" if gain.interval[0] > 0 else "given",
    }
    if gain.interval[0] > 0:
        return replace(fitted, facts=facts)
    logger.info("weights: the nested gain of %+.4f is within noise; the given ones stay", gain.difference)
    return Fitted(None, dict.fromkeys(fitted.without), facts)

"""From counts to the tables of score.json: scores of every stage, the gain of each step, the worth of each member."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.labels import LabelSet
from foldseg.ensemble.disagreement import MemberSample
from foldseg.ensemble.line import stage_names
from foldseg.ensemble.oof import OofResult
from foldseg.ensemble.operation import Observation
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.scoring.compare import compare_models
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import bootstrap, list_scores, list_scores_of_scored_classes, score

Groups = NDArray[Any]
"""(images,): names of groups. A bootstrap draws all images of a group together."""


def stage_scores(
    config: Ensemble, taken: Sequence[Step], counts: Counts, labels: LabelSet, groups: Groups | None
) -> dict[str, Any]:
    """Return stage -> every score, the per-class values of the chosen one, and its 95% interval if groups are given.

    `counts` are (stages, images, classes, 3); stages are the members, the blend and the steps that are `taken`.
    """
    table: dict[str, Any] = {}
    overlapping = {step.kind for step in taken if step.may_overlap}
    for stage, part in zip(stage_names([m.name for m in config.members], taken), counts, strict=True):
        # Masks of exclusive classes that overlap are of the scored ones alone: no pixel accuracy, and no background
        only_scored = not labels.overlapping and not overlapping.isdisjoint(stage.split(" + "))
        names = list_scores_of_scored_classes(config.score) if only_scored else list_scores(config.score)
        table[stage] = {name: score(name, part, labels).value for name in names}
        per_class = score(config.score, part, labels).per_class
        table[stage]["per_class"] = {c.name: per_class[c.name] for c in labels.classes if c.scored or not only_scored}
        if groups is not None and len(set(groups)) > 1:
            trials = bootstrap(config.score, part, labels, groups, config.bootstrap_samples)
            table[stage]["interval"] = trials.interval()
    return table


def step_gains(oof: OofResult) -> dict[str, Any]:
    """Return, for the stage after each step that is taken, what the step gained on OOF (see `_gain`)."""
    stages = stage_names([], oof.line.taken)[1:]
    return {stage: _gain(oof, place) for stage, place in zip(stages, oof.line.places, strict=True)}


def steps_left_out(oof: OofResult) -> list[dict[str, Any]]:
    """Return the steps that are left out, by kind and place (from 1), and what they would have gained (see `_gain`)."""
    steps = oof.line.steps
    return [{"step": steps[p].kind, "place": p + 1, **_gain(oof, p)} for p in sorted(oof.line.left_out)]


def _gain(oof: OofResult, place: int) -> dict[str, Any]:
    """Return what a step gained on OOF, with a 95% interval over groups, and the parameters that were fitted.

    `gain` is nested: no image was scored with what was fitted on its own part. `same_oof`, of a fitted step, is the
    score with what was fitted on all images, which is too good. `forced`: the step would have been left out.
    """
    step_gain = oof.gains[place]
    gain = step_gain.gain
    facts = {"gain": gain.difference, "interval": gain.interval, "probability": gain.probability}
    if place in oof.descriptions:
        facts |= {"same_oof": step_gain.same_oof, **oof.descriptions[place]}
    return facts | ({"forced": True} if step_gain.is_forced else {})


def best_member(config: Ensemble, counts: Counts, labels: LabelSet, groups: Groups) -> dict[str, Any]:
    """Return the member that scores highest on OOF by itself, and how much more it scores than the blend.

    `counts` (stages, images, classes, 3) begin with the members and the blend. The member is chosen on the same images
    that it is compared on, which flatters it.
    """
    values = [score(config.score, part, labels).value for part in counts[: len(config.members)]]
    best = int(np.nanargmax(values)) if not np.isnan(values).all() else 0
    blend = counts[len(config.members)]
    gain = compare_models(config.score, counts[best], blend, labels, groups, config.bootstrap_samples)
    return {
        "member": config.members[best].name,
        "gain": gain.difference,
        "interval": gain.interval,
        "probability": gain.probability,
    }


def member_worth(
    config: Ensemble, observations: Sequence[Observation], spec: EnsembleSpec, groups: Groups
) -> dict[str, Any]:
    """Return how often each pair of members agrees, and what the blend (of given weights) loses without each member.

    It is computed from the pixels on which members disagree: from all of them, or from a sample if they are too many.
    """
    names = [member.name for member in config.members]
    agreement = np.sum([one["agreement"] for one in observations], 0)
    shares = (agreement / np.diagonal(agreement)).round(6)
    sample = MemberSample(observations, spec)
    whole = sample.counts(spec.weights)
    removing = {}
    for index, name in enumerate(names):
        rest = sample.counts(np.where(np.arange(len(names)) == index, 0.0, spec.weights))
        loss = compare_models(config.score, whole, rest, spec.labels, groups, config.bootstrap_samples)
        removing[name] = {"loss": loss.difference, "interval": loss.interval, "probability": loss.probability}
    return {
        "agreement": {
            name: dict(zip(names, row, strict=True)) for name, row in zip(names, shares.tolist(), strict=True)
        },
        "removing": removing,
        "pixels": "all" if sample.pixels.is_exact else f"a sample of {len(sample.pixels.truth)}",
    }

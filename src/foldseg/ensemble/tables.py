"""From counts to what score.json says: scores of every stage, what each step gained, what each member is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.labels import LabelSet
from foldseg.ensemble.disagreement import MemberSample
from foldseg.ensemble.line import stage_names
from foldseg.ensemble.oof import OofResult
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.ensemble.stage import Observation
from foldseg.scoring.compare import paired
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import OF_SCORED_CLASSES, SCORES, bootstrap, interval, score

Groups = NDArray[Any]
"""(images,): what is drawn as a whole by a bootstrap."""


def stage_scores(
    config: Ensemble, taken: Sequence[Step], counts: Counts, labels: LabelSet, groups: Groups | None
) -> dict[str, Any]:
    """Stage -> every score, the per-class values of the chosen one, and its 95% interval if groups are given.

    `counts` are (stages, images, classes, 3); stages are the members, the blend and the steps that are `taken`.
    """
    table: dict[str, Any] = {}
    overlapping = {step.kind for step in taken if step.may_overlap}
    for stage, part in zip(stage_names([m.name for m in config.members], taken), counts, strict=True):
        # Masks that overlap are of the scored classes alone: there is no pixel accuracy, and no background
        only_scored = not overlapping.isdisjoint(stage.split(" + "))
        known = OF_SCORED_CLASSES if only_scored else tuple(SCORES)
        table[stage] = {name: score(name, part, labels).value for name in known}
        per_class = score(config.score, part, labels).per_class
        table[stage]["per_class"] = {c.name: per_class[c.name] for c in labels.classes if c.scored or not only_scored}
        if groups is not None and len(set(groups)) > 1:
            trials = bootstrap(config.score, part, labels, groups, config.bootstrap_samples)
            table[stage]["interval"] = interval(trials)
    return table


def step_gains(oof: OofResult) -> dict[str, Any]:
    """Stage after a step that is taken -> what the step gained on OOF, see `_gain`."""
    places = [place for place in range(len(oof.line.steps)) if place not in oof.line.left_out]
    return {stage: _gain(oof, place) for stage, place in zip(stage_names([], oof.line.taken)[1:], places, strict=True)}


def steps_left_out(oof: OofResult) -> list[dict[str, Any]]:
    """Return the steps that are left out, by name and place (from 1), and what they would have gained, see `_gain`."""
    steps = oof.line.steps
    return [{"step": steps[p].kind, "place": p + 1, **_gain(oof, p)} for p in sorted(oof.line.left_out)]


def _gain(oof: OofResult, place: int) -> dict[str, Any]:
    """What a step gained on OOF, with a 95% interval over groups, and what it was fitted to.

    `gain` is nested: over images whose own fold was not fitted on. `same_oof`, of a fitted step, is its stage's score
    where it was fitted, which is too good. `forced`: it would have been left out.
    """
    step_gain = oof.gains[place]
    gain = step_gain.gain
    facts = {"gain": gain.difference, "interval": gain.interval, "probability": gain.probability}
    if place in oof.descriptions:
        facts |= {"same_oof": step_gain.same_oof, **oof.descriptions[place]}
    return facts | ({"forced": True} if step_gain.is_forced else {})


def best_member(config: Ensemble, counts: Counts, labels: LabelSet, groups: Groups) -> dict[str, Any]:
    """Return the member that scores highest by itself on OOF, and how much more than the blend of all.

    `counts` (stages, images, classes, 3) begin with the members and the blend. The member is chosen on the images that
    it is compared on, which flatters it.
    """
    values = [score(config.score, part, labels).value for part in counts[: len(config.members)]]
    best = int(np.nanargmax(values)) if not np.isnan(values).all() else 0
    blend = counts[len(config.members)]
    gain = paired(config.score, counts[best], blend, labels, groups, config.bootstrap_samples)
    return {
        "member": config.members[best].name,
        "gain": gain.difference,
        "interval": gain.interval,
        "probability": gain.probability,
    }


def member_worth(
    config: Ensemble, observations: Sequence[Observation], spec: EnsembleSpec, groups: Groups
) -> dict[str, Any]:
    """How often members agree, pair by pair, and what the blend (with the given weights) loses without each of them.

    From the pixels on which they disagree: exactly, or from a sample of them where they are too many.
    """
    names = [member.name for member in config.members]
    agreement = np.sum([one["agreement"] for one in observations], 0)
    shares = (agreement / np.diagonal(agreement)).round(6)
    sample = MemberSample(observations, spec)
    whole = sample.counts(spec.weights)
    removing = {}
    for index, name in enumerate(names):
        rest = sample.counts(np.where(np.arange(len(names)) == index, 0.0, spec.weights))
        loss = paired(config.score, whole, rest, spec.labels, groups, config.bootstrap_samples)
        removing[name] = {"loss": loss.difference, "interval": loss.interval, "probability": loss.probability}
    return {
        "agreement": {
            name: dict(zip(names, row, strict=True)) for name, row in zip(names, shares.tolist(), strict=True)
        },
        "removing": removing,
        "pixels": "all" if sample.pixels.is_exact else f"a sample of {len(sample.pixels.truth)}",
    }


def threshold_table(gains: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return how categories of either kind score, if a step that makes categories compared them."""
    return next((facts["categories"] for facts in gains.values() if "categories" in facts), None)

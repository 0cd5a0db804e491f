"""In which order the steps after a blend may come."""

from collections.abc import Sequence
from itertools import pairwise

from foldseg.config.schema.base import ConflictError
from foldseg.config.schema.step_base import Place, Step

_DONE_TO = {
    Place.MEMBERS: "(one of them, once) work on the members",
    Place.PROBABILITIES: "on probabilities",
    Place.CATEGORIES: "make categories of them",
    Place.LABELS: "on those",
}


def check_order(steps: Sequence[Step]) -> None:
    """Raise ConflictError unless each step finds what it works on. It names the first step that does not."""
    names = [step.kind for step in steps]
    problem = _find_problem(steps)
    if problem is not None:
        raise ConflictError(f"steps {', '.join(names)}: {problem}. {_order()}; they come in this order", "steps")


def _find_problem(steps: Sequence[Step]) -> str | None:
    for before, step in pairwise(steps):
        if step.place < before.place:
            return f"{step.kind} has to come before {before.kind}"
        if step.place is before.place and step.place in (Place.MEMBERS, Place.CATEGORIES):
            return f"{before.kind} and {step.kind} cannot both be taken"
    kinds = [step.kind for step in steps]
    repeated = [step.kind for step in steps if kinds.count(step.kind) > 1 and not step.repeatable]
    return f"{repeated[0]} can be taken only once" if repeated else None


def _order() -> str:
    parts = []
    for place in Place:
        kinds = {name: kind for name, kind in Step.kinds().items() if kind.place is place}
        named = [
            name if kind.repeatable or place is Place.MEMBERS else f"{name} (once)" for name, kind in kinds.items()
        ]
        parts.append(f"{' or '.join(named)} {_DONE_TO[place]}")
    return ", ".join(parts)

"""In which order the steps after a blend may come."""

from collections.abc import Sequence

from foldseg.config.schema.base import ConflictError
from foldseg.config.schema.step_base import Place, Step

_DONE_TO = {
    Place.MEMBERS: "(one of them, once) work on the members",
    Place.PROBABILITIES: "on probabilities",
    Place.CATEGORIES: "make categories of them",
    Place.LABELS: "on those",
}


def check_order(steps: Sequence[Step]) -> None:
    """ValueError when steps do not come in an order in which each finds what it works on."""
    names = [step.kind for step in steps]
    places = [step.place for step in steps]
    twice = any(names.count(step.kind) > 1 and not step.repeatable for step in steps)
    if places != sorted(places) or places.count(Place.MEMBERS) > 1 or twice:
        raise ConflictError(f"steps {', '.join(names)}: {_order()}; they come in this order", "steps")


def _order() -> str:
    parts = []
    for place in Place:
        kinds = {name: kind for name, kind in Step.kinds().items() if kind.place is place}
        named = [
            name if kind.repeatable or place is Place.MEMBERS else f"{name} (once)" for name, kind in kinds.items()
        ]
        parts.append(f"{' or '.join(named)} {_DONE_TO[place]}")
    return ", ".join(parts)

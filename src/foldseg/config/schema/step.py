"""What a step after the blend states of itself. The kinds are in `steps`."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from foldseg.config.schema.blends import Blend
from foldseg.config.schema.choice import Choice


class Place(IntEnum):
    """Where a step may stand in the line of steps. Steps come in the order of their places."""

    MEMBERS = 0
    """takes the members' probabilities, gives probabilities in place of the blend's; one step at most"""
    PROBABILITIES = 1
    """takes probabilities, gives probabilities"""
    CATEGORIES = 2
    """takes probabilities, gives labels, or masks that may overlap"""
    LABELS = 3
    """takes labels or masks, gives the same"""

    @property
    def gives_probabilities(self) -> bool:
        """Whether OOF passes may keep what a step of this place gives."""
        return self in (Place.MEMBERS, Place.PROBABILITIES)


@dataclass(frozen=True)
class OptionalPackage:
    """A package that a step needs and foldseg does not."""

    module: str
    """What is imported."""
    remedy: str
    """The name of the package and how to install it, as the error says it."""


class Step(Choice):
    """One step after the blend. What a step is not told it fits on OOF."""

    # The class of a kind also states what follows. One that does not state all of it is an error at import.

    place: ClassVar[Place]
    """Where the step may stand in the line of steps."""
    repeatable: ClassVar[bool]
    """Whether an ensemble may have several steps of this kind."""
    must_gain: ClassVar[bool]
    """True: the step is left out unless its nested gain is above noise. False: only if its loss is above noise."""
    refines_pseudo_labels: ClassVar[bool]
    """Whether pseudo labels are made with the step. Then its values have to be given: what is fitted has seen all
    folds."""
    package: ClassVar[OptionalPackage | None] = None
    """The optional package that the step needs, if any."""

    force: bool = False
    """Take the step whatever its nested gain is."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """TypeError unless the class makes every statement."""
        statements = ("place", "repeatable", "must_gain", "refines_pseudo_labels")
        missing = [name for name in statements if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__}: a step's settings have to state {', '.join(missing)} (see Step)")

    @property
    def summary(self) -> str:
        """Name the step and what matters most of its settings, for the ledger."""
        return self.kind

    @property
    def may_overlap(self) -> bool:
        """Whether a pixel may belong to several categories after the step; then there are only scored ones."""
        return False

    @property
    def named_classes(self) -> tuple[str, ...]:
        """The classes that the settings name."""
        return ()

    def images_to_fit(self, images: int) -> int:
        """Return how many of so many OOF images the step is fitted on."""
        return images

    def check_members(self, members: int, blend: Blend) -> None:
        """ConflictError when the step does not go with the number of members, or with how they are blended."""
        return

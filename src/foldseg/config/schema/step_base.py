"""The base class of the settings of a step after the blend, and what each kind states. The kinds are in `steps`."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from foldseg.config.schema.blends import Blend
from foldseg.config.schema.choice import Choice


class Place(IntEnum):
    """Where a step may stand in the line of steps. Steps come in the order of their places."""

    MEMBERS = 0
    """The step takes the members' probabilities, and gives probabilities in place of the blend's. One step at most."""
    PROBABILITIES = 1
    """The step takes probabilities, and gives probabilities."""
    CATEGORIES = 2
    """The step takes probabilities, and gives labels, or masks that may overlap."""
    LABELS = 3
    """The step takes labels or masks, and gives the same."""

    @property
    def gives_probabilities(self) -> bool:
        """Whether a step of this place gives probabilities. Passes over OOF images may keep these."""
        return self in (Place.MEMBERS, Place.PROBABILITIES)


@dataclass(frozen=True)
class OptionalPackage:
    """A package that a step needs and foldseg does not."""

    module: str
    """The module that is imported."""
    remedy: str
    """The name of the package and how to install it, as the error message has it."""


class Step(Choice):
    """One step after the blend. Some steps fit their values on OOF images; others take them from their settings."""

    # Each kind also states what follows. A kind that does not state all of it is an error at import.

    place: ClassVar[Place]
    """Where the step may stand in the line of steps."""
    repeatable: ClassVar[bool]
    """Whether an ensemble may have several steps of this kind."""
    must_gain: ClassVar[bool]
    """True: the step is left out unless its nested gain is above noise. False: only if its loss is above noise."""
    refines_pseudo_labels: ClassVar[bool]
    """Whether pseudo labels are made with the step. Its values have to be given: fitted ones have seen all folds."""
    package: ClassVar[OptionalPackage | None] = None
    """The optional package that the step needs, if any."""

    force: bool = False
    """Take the step whatever its nested gain is."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Raise TypeError unless the class makes every statement."""
        statements = ("place", "repeatable", "must_gain", "refines_pseudo_labels")
        missing = [name for name in statements if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__}: a step's settings have to state {', '.join(missing)} (see Step)")

    @property
    def summary(self) -> str:
        """The step and its most important settings, for the ledger."""
        return self.kind

    @property
    def may_overlap(self) -> bool:
        """Whether a pixel may belong to several categories after the step. Then only scored classes have masks."""
        return False

    @property
    def named_classes(self) -> tuple[str, ...]:
        """The classes that the settings name."""
        return ()

    def images_to_fit(self, images: int) -> int:
        """Return on how many of this number of OOF images the step is fitted."""
        return images

    def check_members(self, members: int, blend: Blend) -> None:
        """Raise ConflictError if the step does not go with the number of members, or with how they are blended."""
        return

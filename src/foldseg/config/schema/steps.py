"""What is done to a blend, step by step. What a step is not told, it fits on OOF: never on an image's own fold."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import ConflictError, Count, Positive, Settings, Weight

Pixels = Annotated[int, Field(ge=0)]
SomePositive = Positive | Annotated[tuple[Positive, ...], Field(min_length=1)]
SomeWeight = Weight | Annotated[tuple[Weight, ...], Field(min_length=1)]
SomePixels = Pixels | Annotated[tuple[Pixels, ...], Field(min_length=1)]
"""A number, or a list of numbers of which the best on OOF is taken."""

_MOST_COMBINATIONS = 64


class WeightsStep(Settings):
    """The members' weights, in place of those that are given; given ones stay where fitted ones are not proven better.

    hill_climbing adds members with replacement, one after the other (Caruana et al., 2004). continuous moves all
    weights together (Nelder and Mead, 1965).
    """

    search: Literal["hill_climbing", "continuous"] = "hill_climbing"
    per_class: bool = False  # a weight per member and class
    rounds: Count = 30  # hill climbing: members that are added, at most


class StackStep(Settings):
    """Logistic regression on members' log-probabilities and the picture, in place of the blend."""

    pixels_per_image: Count = 400  # that it learns from
    picture: bool = True  # colour and place of the pixel as features, too
    regularisation: Positive = 1.0  # inverse strength of the L2 penalty, scikit-learn's C


class BiasStep(Settings):
    """A factor per class on its probability, fitted with the ensemble's score."""

    limit: Annotated[float, Field(gt=1.0, le=64.0)] = 8.0  # factors are of 1/limit to limit


class Crf(Settings):
    """Dense CRF (Krähenbühl and Koltun, 2011); the names are those of the paper's kernels. Lists are fitted."""

    iterations: Count = 5
    smooth_std: SomePositive = 3.0  # pixels
    smooth_weight: SomeWeight = 3.0
    appearance_std: SomePositive = 50.0  # pixels
    appearance_colour_std: SomePositive = 5.0  # of 255
    appearance_weight: SomeWeight = 5.0
    scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of the image's sides, on which it is computed
    sure: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # pixels whose class is that probable, and all around, stay
    fit_images: Count = 32  # OOF images on which lists are tried, spread over all of them

    @model_validator(mode="after")
    def _combinations_are_few(self) -> Self:
        number = math.prod(len(v) for v in self.__dict__.values() if isinstance(v, tuple))
        if number > _MOST_COMBINATIONS:
            raise ValueError(
                f"lists of a crf make {number} combinations, each of which is a CRF of every image; "
                f"at most {_MOST_COMBINATIONS}"
            )
        return self


class CleanUp(Settings):
    """Removal of small components and holes: they take the class that surrounds them. Lists are fitted per class."""

    min_area: SomePixels = 0  # pixels; smaller connected components are relabelled
    hole_area: SomePixels = 0  # pixels; smaller holes in a class are filled with it
    classes: tuple[str, ...] | None = None  # only components, and holes in components, of these; null: of all


class ThresholdStep(Settings):
    """A probability threshold per scored class, fitted on OOF with the ensemble's score."""

    categories: Literal["overlapping", "exclusive"] = "overlapping"  # may a pixel be of several classes?


class Step(Settings):
    """One step after the blend: exactly one of its keys is given."""

    weights: WeightsStep | None = None
    stack: StackStep | None = None
    bias: BiasStep | None = None
    crf: Crf | None = None
    thresholds: ThresholdStep | None = None
    clean_up: CleanUp | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._given) != 1:
            keys = ", ".join(type(self).model_fields)
            raise ValueError(f"a step has exactly one key of {keys} (with its settings, {{}} for defaults)")
        return self

    @property
    def _given(self) -> list[str]:
        return [key for key in type(self).model_fields if getattr(self, key) is not None]

    @property
    def name(self) -> str:
        """The key that is given."""
        return self._given[0]

    @property
    def settings(self) -> Settings:
        """What it is set to."""
        return getattr(self, self.name)


_PLACE = {"weights": 0, "stack": 0, "bias": 1, "crf": 1, "thresholds": 2, "clean_up": 3}
_ONCE = ("weights", "stack", "thresholds")


def check_order(steps: Sequence[Step]) -> None:
    """ValueError when steps do not come in an order in which each finds what it works on."""
    names = [step.name for step in steps]
    places = [_PLACE[name] for name in names]
    if places != sorted(places) or any(names.count(name) > 1 for name in _ONCE) or places.count(0) > 1:
        raise ConflictError(
            f"steps {', '.join(names)}: weights or stack (one of them, once) work on the members, bias and crf on "
            "probabilities, thresholds (once) make categories of them, clean_up works on those; they come in this "
            "order",
            "steps",
        )

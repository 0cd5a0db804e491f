"""The settings of the steps after a blend.

`weights`, `stack` and `bias` always fit their values; `thresholds`, `triplet` and `gate` do so unless they are given.
`crf` and `clean_up` take theirs from the settings; of a list of values, they choose the best one. Values are fitted on
OOF images, never on the fold of an image itself.

Each class also states what the ensemble has to know of the step (see `step_base.Step`).
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from foldseg.config.schema.base import ConflictError, Count, Fraction, Positive, Weight
from foldseg.config.schema.blends import Blend
from foldseg.config.schema.choice import Choice
from foldseg.config.schema.step_base import OptionalPackage, Place
from foldseg.config.schema.step_base import Step as Step

Pixels = Annotated[int, Field(ge=0)]
SomePositive = Positive | Annotated[tuple[Positive, ...], Field(min_length=1)]
SomeWeight = Weight | Annotated[tuple[Weight, ...], Field(min_length=1)]
SomePixels = Pixels | Annotated[tuple[Pixels, ...], Field(min_length=1)]
"""A number, or a list of numbers of which the best on OOF is taken."""

_MOST_COMBINATIONS = 64


class WeightSearch(Choice):
    """How the members' weights are searched."""

    first_is_default = True


class HillClimbing(WeightSearch):
    """Members are added with replacement, one after the other (Caruana et al., 2004)."""

    kind: Literal["hill_climbing"] = "hill_climbing"
    rounds: Count = 30
    """Number of members that are added, at most. A member may be added several times."""


class Continuous(WeightSearch):
    """All weights are moved together (Nelder and Mead, 1965)."""

    kind: Literal["continuous"] = "continuous"


class WeightsStep(Step):
    """Fitted weights of the members. Those that are given stay unless the gain of fitted ones is above noise."""

    place = Place.MEMBERS
    repeatable = False
    must_gain = True
    refines_pseudo_labels = False

    kind: Literal["weights"] = "weights"
    search: WeightSearch = HillClimbing()
    """How weights are searched."""
    per_class: bool = False
    """Fit a weight per member and class."""

    @property
    def summary(self) -> str:
        """The step and its search, for the ledger."""
        return f"{self.kind}:{self.search.kind}"

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(), cls(search=Continuous()), cls(per_class=True)

    def check_members(self, members: int, blend: Blend) -> None:
        """Raise ConflictError if there is a single member, or if the blend leaves members out by pixel."""
        if members == 1:
            raise ConflictError(
                "steps: the weight of a single member cannot be fitted; leave the weights step out", "steps", "members"
            )
        if self.per_class and blend.union:
            raise ConflictError(
                "steps: weights per_class do not go with blend.union, which leaves members out by pixel",
                "steps",
                "blend.union",
            )


class StackStep(Step):
    """Logistic regression on members' log-probabilities and the picture, in place of the blend."""

    place = Place.MEMBERS
    repeatable = False
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["stack"] = "stack"
    pixels_per_image: Count = 400
    """Pixels of each image that it learns from."""
    picture: bool = True
    """Also use colour and place of the pixel as features."""
    regularisation: Positive = 1.0
    """Inverse strength of the L2 penalty, scikit-learn's C."""


class BiasStep(Step):
    """A factor per class on its probability, fitted with the ensemble's score."""

    place = Place.PROBABILITIES
    repeatable = True
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["bias"] = "bias"
    limit: Annotated[float, Field(gt=1.0, le=64.0)] = 8.0
    """Factors are between 1/limit and limit."""


class CrfStep(Step):
    """Dense CRF (Krähenbühl and Koltun, 2011); the names are those of the paper's kernels. Lists are fitted."""

    place = Place.PROBABILITIES
    repeatable = True
    must_gain = False
    refines_pseudo_labels = True
    package = OptionalPackage(
        "pydensecrf.densecrf", "pydensecrf: pip install pydensecrf2==1.1 (wants a C++ compiler, about a minute)"
    )

    kind: Literal["crf"] = "crf"
    iterations: Count = 5
    """Number of mean-field iterations."""
    smooth_std: SomePositive = 3.0
    """Standard deviation of the smoothness kernel, in pixels."""
    smooth_weight: SomeWeight = 3.0
    """Weight of the smoothness kernel."""
    appearance_std: SomePositive = 50.0
    """Standard deviation of the appearance kernel, in pixels."""
    appearance_colour_std: SomePositive = 5.0
    """Standard deviation of the appearance kernel in colour, of 255."""
    appearance_weight: SomeWeight = 5.0
    """Weight of the appearance kernel."""
    scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Compute the CRF on the image scaled by this factor."""
    sure: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Pixels whose class is at least this probable stay as they are, unless they are near an unsure one. 1.0: none."""
    fit_images: Count = 32
    """Number of OOF images on which lists of values are tried."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(), cls(smooth_weight=(1.0, 3.0), iterations=2)

    def images_to_fit(self, images: int) -> int:
        """Return the number of OOF images on which lists are tried."""
        return min(images, self.fit_images)

    @model_validator(mode="after")
    def _combinations_are_few(self) -> Self:
        number = math.prod(len(v) for v in self.__dict__.values() if isinstance(v, tuple))
        if number > _MOST_COMBINATIONS:
            raise ValueError(
                f"lists of a crf make {number} combinations, each of which is a CRF of every image; "
                f"at most {_MOST_COMBINATIONS}"
            )
        return self


class ThresholdStep(Step):
    """A probability threshold per scored class, given, or fitted on OOF with the ensemble's score."""

    place = Place.CATEGORIES
    repeatable = False
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["thresholds"] = "thresholds"
    categories: Literal["overlapping", "exclusive"] = "overlapping"
    """Whether a pixel may belong to several classes."""
    values: Fraction | dict[str, Fraction] | None = None
    """Thresholds that are given: one for all scored classes, or class -> threshold (others: 0.5). Null: fitted."""

    @model_serializer(mode="wrap")
    def _leave_out_null(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `values` out if it is null: ensembles of older versions lack it, and their steps are the same."""
        content: dict[str, Any] = serialise(self)
        return content if self.values is not None else {k: v for k, v in content.items() if k != "values"}

    @property
    def summary(self) -> str:
        """The step and its categories, for the ledger."""
        return f"{self.kind}:{self.categories}"

    @property
    def may_overlap(self) -> bool:
        """Whether a pixel may belong to several categories after the step."""
        return self.categories == "overlapping"

    @property
    def named_classes(self) -> tuple[str, ...]:
        """The classes whose thresholds are given by name."""
        return tuple(self.values) if isinstance(self.values, dict) else ()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(categories="overlapping"), cls(categories="exclusive"), cls(values=0.4)


OrFitted = Literal["fitted"]
"""A value that is fitted on OOF, for each class by itself."""


class TripletStep(Step):
    """A class is where it is likely, unless too little of it is very likely: then it is nowhere in the image.

    It is the rule of the winner of SIIM-ACR 2019. Each of its three values is given for all scored classes, or fitted.
    """

    place = Place.CATEGORIES
    repeatable = False
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["triplet"] = "triplet"
    seed: Fraction | OrFitted = "fitted"
    """Probability from which on a pixel counts for `min_area`."""
    min_area: Pixels | OrFitted = "fitted"
    """A class is emptied in an image with fewer pixels from `seed` on."""
    threshold: Fraction | OrFitted = "fitted"
    """Probability from which on a pixel is of a class that is not emptied."""

    @property
    def may_overlap(self) -> bool:
        """Whether a pixel may belong to several categories after the step: always."""
        return True

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(), cls(seed=0.7, min_area=20, threshold=0.4), cls(min_area=30)


class GateStep(Step):
    """A class is emptied in an image where it is nowhere likely enough, or too small.

    A contest that rewards empty masks is decided by it. Values are given for all scored classes, or fitted.
    """

    place = Place.LABELS
    repeatable = True
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["gate"] = "gate"
    min_probability: Fraction | OrFitted = "fitted"
    """A class is emptied in an image where its largest probability is below this."""
    min_area: Pixels | OrFitted = "fitted"
    """A class is emptied in an image where it has fewer pixels."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(), cls(min_probability=0.9, min_area=60), cls(min_probability=0.0, min_area=200)


class CleanUpStep(Step):
    """Remove small components, and fill small holes: they take the class around them. Lists are fitted per class."""

    place = Place.LABELS
    repeatable = True
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["clean_up"] = "clean_up"
    min_area: SomePixels = 0
    """Connected components with fewer pixels are relabelled."""
    hole_area: SomePixels = 0
    """Holes in a class with fewer pixels are filled with it."""
    classes: tuple[str, ...] | None = None
    """Only components of these classes, and holes in them. Null: of all."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract test tries."""
        return cls(), cls(min_area=4, hole_area=6), cls(min_area=(4, 16), hole_area=6)

    @property
    def named_classes(self) -> tuple[str, ...]:
        """The classes whose components are removed, if the settings name them."""
        return self.classes or ()

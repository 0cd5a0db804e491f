"""Weights of the classes in the loss. They are computed in `foldseg.losses.class_weights`."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from foldseg.config.schema.base import Weight
from foldseg.config.schema.choice import Choice


class ClassWeights(Choice):
    """Weights of the classes in cross_entropy and ohem. A list is short for the given weights."""

    first_is_default = True
    short_forms = ({"type": "array", "items": {"type": "number", "minimum": 0}},)
    are_equal: ClassVar[bool] = False
    """Whether all classes weigh the same."""

    @classmethod
    def long_form(cls, value: Any) -> Any:
        """Write a short form out: a name, or a list of weights, `[1, 2.5]` -> `{kind: given, weights: [1, 2.5]}`."""
        if isinstance(value, list | tuple):
            return {"kind": "given", "weights": value}
        return super().long_form(value)


class EqualWeights(ClassWeights):
    """All classes weigh the same."""

    are_equal = True

    kind: Literal["none"] = "none"


class InverseLog(ClassWeights):
    """1 / log(1.02 + share of the pixels) (ENet; Paszke et al., 2016, arXiv:1606.02147)."""

    kind: Literal["inverse_log"] = "inverse_log"


class MedianFrequency(ClassWeights):
    """Median frequency / frequency (Eigen and Fergus, 2015, arXiv:1411.4734)."""

    kind: Literal["median_frequency"] = "median_frequency"


class EffectiveNumber(ClassWeights):
    """(1 - beta) / (1 - beta^n) of n pixels (Cui et al., 2019, arXiv:1901.05555)."""

    kind: Literal["effective_number"] = "effective_number"
    beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 1 - 1e-7
    """About 1 - 1 / (pixels of a common class)."""


class GivenWeights(ClassWeights):
    """Weights that are given, in the order of the classes."""

    kind: Literal["given"] = "given"
    weights: Annotated[tuple[Weight, ...], Field(min_length=1)]
    """One weight per class."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try, for four classes."""
        return (cls(weights=(1.0, 2.0, 0.5, 1.0)),)

"""What training minimises. The terms are computed in `foldseg.losses`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import ConflictError, Count, Fraction, Positive, Settings, Weight
from foldseg.config.schema.class_weights import ClassWeights, EqualWeights

_IS_TERM = "term"
_TAKES_CLASS_WEIGHTS = "takes class_weights"
_IS_EXCLUSIVE = "of exclusive classes"
TermWeight = Annotated[float, Field(ge=0.0), _IS_TERM]
"""Weight of a term of the logits: `losses/total.py: TERMS`."""
ClassWeightedTermWeight = Annotated[float, Field(ge=0.0), _IS_TERM, _TAKES_CLASS_WEIGHTS]
"""Weight of a term that takes `class_weights`."""
ExclusiveTermWeight = Annotated[float, Field(ge=0.0), _IS_TERM, _TAKES_CLASS_WEIGHTS, _IS_EXCLUSIVE]
"""Weight of a term of one class per pixel, so that it cannot be computed if classes overlap."""


class Loss(Settings):
    """Weights of the terms of the loss, and the terms' own settings."""

    cross_entropy: ExclusiveTermWeight = 0.0
    """Weight of the cross-entropy."""
    binary_cross_entropy: TermWeight = 0.0
    """Weight of the binary cross-entropy: a sigmoid per class, against the rest."""
    ohem: ExclusiveTermWeight = 0.0
    """Weight of the cross-entropy of hard pixels."""
    focal: TermWeight = 0.0
    """Weight of the focal loss."""
    dice: TermWeight = 0.0
    """Weight of the Dice loss."""
    log_dice: TermWeight = 0.0
    """Weight of -log(Dice)."""
    jaccard: TermWeight = 0.0
    """Weight of the Jaccard loss."""
    log_jaccard: TermWeight = 0.0
    """Weight of -log(Jaccard)."""
    tversky: TermWeight = 0.0
    """Weight of the Tversky loss."""
    focal_tversky: TermWeight = 0.0
    """Weight of the focal Tversky loss."""
    lovasz: TermWeight = 0.0
    """Weight of the Lovász-softmax loss."""
    lovasz_hinge: TermWeight = 0.0
    """Weight of the Lovász hinge loss of the logits: each class against the rest."""
    mcc: TermWeight = 0.0
    """Weight of the loss from Matthews' correlation coefficient."""
    boundary: TermWeight = 0.0
    """Weight of the boundary loss."""

    presence: Weight = 0.0
    """Weight of the loss of the presence head (model.presence_head)."""
    auxiliary_weight: Weight = 0.4
    """Weight of each auxiliary output's loss, where the network has such outputs."""

    class_weights: ClassWeights = EqualWeights()
    """Weights of the classes in cross_entropy and ohem or, if classes overlap, in all terms: a rule that is applied to
    the pixels of the fold's training masks, or a list."""
    positive_weights: Positive | Annotated[tuple[Positive, ...], Field(min_length=1)] = 1.0
    """Weight, in binary_cross_entropy, of the pixels that are of a class: a number, or a list of one per class."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the target that cross_entropy spreads over all classes."""
    focal_gamma: Weight = 2.0
    """Gamma of the focal loss."""
    ohem_threshold: Fraction = 0.7
    """A pixel is hard if its own class has at most this probability."""
    ohem_min_kept: Annotated[float, Field(gt=0.0, le=1.0)] = 0.0625
    """At least this share of the valid pixels counts as hard."""
    tversky_fp: Weight = 0.3
    """Weight of false positives in the Tversky losses. 0.5 and 0.5 are Dice."""
    tversky_fn: Weight = 0.7
    """Weight of false negatives in the Tversky losses."""
    focal_tversky_gamma: Positive = 0.75
    """Exponent of the focal Tversky loss."""
    boundary_tolerance: Count = 2
    """Distance in pixels up to which boundaries match, for the boundary loss."""

    def get_term_weights(self) -> dict[str, float]:
        """Return the weight of every term that is switched on, by its name."""
        return {name: getattr(self, name) for name in self.list_term_names() if getattr(self, name) > 0}

    @classmethod
    def list_term_names(cls) -> tuple[str, ...]:
        """Return the names of all terms of the logits."""
        return tuple(name for name, field in cls.model_fields.items() if _IS_TERM in field.metadata)

    @model_validator(mode="after")
    def _check_has_a_term(self) -> Self:
        if not self.get_term_weights():
            raise ValueError(f"all terms are 0: give at least one of {', '.join(self.list_term_names())}")
        return self

    def check_classes(self, overlapping: bool) -> None:
        """Raise ConflictError if a term, or class weights, do not go with exclusive or with overlapping classes."""
        terms = self.get_term_weights()
        exclusive = [name for name in self._list_terms_with(_IS_EXCLUSIVE) if name in terms]
        if overlapping and exclusive:
            raise ConflictError(
                f"{' and '.join(exclusive)}: is of one class per pixel, and the classes of this data set overlap; use "
                "loss.binary_cross_entropy, and set the other to 0",
                *(f"loss.{name}" for name in exclusive),
            )
        weighted = self._list_terms_with(_TAKES_CLASS_WEIGHTS)
        if not overlapping and not self.class_weights.are_equal and not terms.keys() & set(weighted):
            raise ConflictError(
                f"class_weights are taken by {' and '.join(weighted)} alone, and the terms are "
                f"{', '.join(terms)}: add one of the two, or set class_weights: none",
                "loss.class_weights",
            )

    @classmethod
    def _list_terms_with(cls, mark: str) -> list[str]:
        return [name for name, field in cls.model_fields.items() if mark in field.metadata]

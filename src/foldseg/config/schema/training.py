"""What is minimised, and how."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Fraction, Positive, Settings, Weight


class Loss(Settings):
    """Weights of the terms of the loss; the terms themselves are in `foldseg.losses`."""

    cross_entropy: Weight = 0.0
    dice: Weight = 0.0
    jaccard: Weight = 0.0
    focal: Weight = 0.0
    lovasz: Weight = 0.0
    class_weights: Literal["none", "inverse_log"] | tuple[Weight, ...] = "none"  # of the cross-entropy
    focal_gamma: Weight = 2.0

    def terms(self) -> dict[str, float]:
        """Return the weight of every term that is switched on."""
        names = ("cross_entropy", "dice", "jaccard", "focal", "lovasz")
        return {name: getattr(self, name) for name in names if getattr(self, name) > 0}

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        if not self.terms():
            raise ValueError("all terms are 0: give at least one of cross_entropy, dice, jaccard, focal, lovasz")
        return self


class Optimizer(Settings):
    """Which optimiser; `lr` is the peak rate of the decoder."""

    name: Literal["adamw", "fused_adam"] = "adamw"  # fused_adam: apex.optimizers.FusedAdam, when apex is installed
    lr: Positive = 1e-3
    encoder_lr_scale: Positive = 1.0  # rate of the encoder / rate of the decoder
    weight_decay: Weight = 0.01


class Schedule(Settings):
    """How the learning rate moves, step by step."""

    name: Literal["one_cycle", "constant"] = "one_cycle"
    epochs: Count = 40
    warm_up: Fraction = 0.25  # share of the steps in which a one-cycle schedule rises


class EarlyStopping(Settings):
    """Stop when the validation score has not risen by `min_delta` in `patience` validations."""

    patience: Count = 8
    min_delta: Annotated[float, Field(ge=0.0)] = 0.001

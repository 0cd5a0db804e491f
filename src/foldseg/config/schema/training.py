"""What is minimised, and how."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import ConflictError, Count, Fraction, Positive, Settings, Weight

_TERMS = (
    "cross_entropy", "binary_cross_entropy", "ohem", "focal", "dice", "log_dice", "jaccard", "log_jaccard", "tversky",
    "focal_tversky", "lovasz", "lovasz_hinge", "mcc", "boundary",
)  # fmt: skip


WEIGHTED_TERMS = ("cross_entropy", "ohem")
"""The terms that take `class_weights`."""


class Loss(Settings):
    """Weights of the terms of the loss, and their settings; the terms themselves are in `foldseg.losses`."""

    cross_entropy: Weight = 0.0
    binary_cross_entropy: Weight = 0.0  # of a sigmoid per class: one class against the rest
    ohem: Weight = 0.0  # cross-entropy of the hard pixels
    focal: Weight = 0.0
    dice: Weight = 0.0
    log_dice: Weight = 0.0
    jaccard: Weight = 0.0
    log_jaccard: Weight = 0.0
    tversky: Weight = 0.0
    focal_tversky: Weight = 0.0
    lovasz: Weight = 0.0
    lovasz_hinge: Weight = 0.0  # of the logits: one class against the rest
    mcc: Weight = 0.0
    boundary: Weight = 0.0

    presence: Weight = 0.0  # of the network's head that says which classes occur in the image
    auxiliary_weight: Weight = 0.4  # loss of each auxiliary output / loss of the output, where the network has such

    class_weights: Literal["none", "inverse_log", "median_frequency", "effective_number"] | tuple[Weight, ...] = (
        "none"  # of cross_entropy and ohem; all but a list of weights are from the fold's training masks
    )
    effective_number_beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 1 - 1e-7  # about 1 - 1 / pixels of a common class
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # of cross_entropy: share spread over all classes
    focal_gamma: Weight = 2.0
    ohem_threshold: Fraction = 0.7  # pixels are hard whose own class has at most this probability
    ohem_min_kept: Annotated[float, Field(gt=0.0, le=1.0)] = (
        0.0625  # least share of the valid pixels that count as hard
    )
    tversky_fp: Weight = 0.3  # weight of false positives; 0.5 and 0.5 are Dice
    tversky_fn: Weight = 0.7  # weight of false negatives
    focal_tversky_gamma: Positive = 0.75
    boundary_tolerance: Count = 2  # pixels

    def terms(self) -> dict[str, float]:
        """Return the weight of every term of the logits that is switched on."""
        return {name: getattr(self, name) for name in _TERMS if getattr(self, name) > 0}

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        if not self.terms():
            raise ValueError(f"all terms are 0: give at least one of {', '.join(_TERMS)}")
        return self

    @model_validator(mode="after")
    def _class_weights_weigh_something(self) -> Self:
        if self.class_weights != "none" and not self.terms().keys() & set(WEIGHTED_TERMS):
            raise ConflictError(
                f"class_weights are taken by {' and '.join(WEIGHTED_TERMS)} alone, and the terms are "
                f"{', '.join(self.terms())}: add one of the two, or leave class_weights out",
                "class_weights",
            )
        return self


class Lookahead(Settings):
    """Slow weights that follow the optimiser's (arXiv:1907.08610)."""

    steps: Count = 5  # of the optimiser for one of the slow weights
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # of the way that the slow weights go


class Optimizer(Settings):
    """Which optimiser; `lr` is the peak rate of the decoder. Norms and biases are not decayed."""

    # fused_adam: apex.optimizers.FusedAdam, when apex is installed
    name: Literal["sgd", "adam", "adamw", "radam", "rmsprop", "fused_adam"] = "adamw"
    lr: Positive = 1e-3
    encoder_lr_scale: Positive = 1.0  # rate of the encoder('s last layers) / rate of the decoder
    encoder_first_lr_scale: Positive = 1.0  # rate of the encoder's first layers / of its last; in five geometric steps
    head_lr_scale: Positive = 1.0  # rate of the layers that end in classes / rate of the rest of the decoder
    weight_decay: Weight = 0.01  # decoupled from the gradient in adamw, radam and fused_adam
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9  # of sgd and rmsprop
    nesterov: bool = False  # of sgd
    betas: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], Annotated[float, Field(ge=0.0, lt=1.0)]] = (0.9, 0.999)
    eps: Positive = 1e-8
    fused: bool = True  # torch's fused version of sgd, adam and adamw on a GPU; fp16 needs the other one
    lookahead: Lookahead | None = None
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] = 0  # first epochs in which the encoder stays as it is
    freeze_encoder_steps: Annotated[int, Field(ge=0)] = 0  # or first steps of the optimiser, in place of epochs

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ValueError(f"nesterov needs sgd with momentum above 0; found {self.name}, {self.momentum:g}")
        return self

    @model_validator(mode="after")
    def _encoder_is_thawed_once(self) -> Self:
        if self.freeze_encoder_epochs and self.freeze_encoder_steps:
            raise ValueError(
                f"freeze_encoder_epochs {self.freeze_encoder_epochs} and freeze_encoder_steps "
                f"{self.freeze_encoder_steps}: give one of them"
            )
        return self


class Plateau(Settings):
    """When a `plateau` schedule lowers the rate: after more than `patience` validations that were no better."""

    metric: str | None = None  # a score, val_cross_entropy, or iou/<class>; null: the experiment's `monitor`
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    patience: Annotated[int, Field(ge=0)] = 5  # validations
    threshold: Weight = 1e-4  # better means better by more than this


class Schedule(Settings):
    """How the learning rate moves, step by step. Shares are of all steps; rates are shares of the peak rate."""

    name: Literal[
        "one_cycle", "constant", "cosine", "warm_restarts", "poly", "step", "exponential", "plateau"
    ] = "one_cycle"  # fmt: skip
    epochs: Count = 40
    warm_up: Fraction = 0.25  # share of the steps in which a one-cycle schedule rises
    linear_warm_up: Fraction = 0.0  # share of the steps in which the rate of any schedule also rises from 0, linearly
    lowest: Fraction = 0.0  # of cosine, warm_restarts, poly, step, exponential, plateau: the rate that they fall to
    cycles: Count = 4  # of warm_restarts; each ends with an epoch
    cycle_growth: Annotated[float, Field(ge=1.0)] = 1.0  # length of a cycle / length of the one before (T_mult)
    power: Positive = 0.9  # of poly
    milestones: tuple[Fraction, ...] = (0.5, 0.75)  # of step: the shares of the steps after which the rate falls
    gamma: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # of step: rate after a milestone / rate before it
    epoch_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95  # of exponential: rate after an epoch / before it
    plateau: Plateau = Plateau()

    @model_validator(mode="after")
    def _cycles_fit(self) -> Self:
        if self.name != "warm_restarts":
            return self
        shortest = self.epochs / sum(self.cycle_growth**cycle for cycle in range(self.cycles))
        if shortest < 1:
            raise ValueError(
                f"cycles {self.cycles} with cycle_growth {self.cycle_growth:g} do not fit into {self.epochs} epochs: "
                f"the first would be of {shortest:.2f} epochs, and should be of at least 1"
            )
        return self

    @model_validator(mode="after")
    def _milestones_rise(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} should rise")
        return self


class EarlyStopping(Settings):
    """Stop when what is monitored has not become better by `min_delta` in `patience` validations."""

    patience: Count = 8
    min_delta: Annotated[float, Field(ge=0.0)] = 0.001

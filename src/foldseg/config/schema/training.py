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
    """Weight of the cross-entropy."""
    binary_cross_entropy: Weight = 0.0
    """Weight of the binary cross-entropy: a sigmoid per class, against the rest."""
    ohem: Weight = 0.0
    """Weight of the cross-entropy of hard pixels."""
    focal: Weight = 0.0
    """Weight of the focal loss."""
    dice: Weight = 0.0
    """Weight of the Dice loss."""
    log_dice: Weight = 0.0
    """Weight of -log(Dice)."""
    jaccard: Weight = 0.0
    """Weight of the Jaccard loss."""
    log_jaccard: Weight = 0.0
    """Weight of -log(Jaccard)."""
    tversky: Weight = 0.0
    """Weight of the Tversky loss."""
    focal_tversky: Weight = 0.0
    """Weight of the focal Tversky loss."""
    lovasz: Weight = 0.0
    """Weight of the Lovász-softmax loss."""
    lovasz_hinge: Weight = 0.0
    """Weight of the Lovász hinge loss of the logits: each class against the rest."""
    mcc: Weight = 0.0
    """Weight of the loss from Matthews' correlation coefficient."""
    boundary: Weight = 0.0
    """Weight of the boundary loss."""

    presence: Weight = 0.0
    """Weight of the loss of the presence head (model.presence_head)."""
    auxiliary_weight: Weight = 0.4
    """Weight of each auxiliary output's loss, where the network has such outputs."""

    class_weights: Literal["none", "inverse_log", "median_frequency", "effective_number"] | tuple[Weight, ...] = "none"
    """Weights of the classes in cross_entropy and ohem: a rule that is applied to the pixels of the fold's training
    masks, or a list."""
    effective_number_beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 1 - 1e-7
    """Beta of class_weights effective_number, about 1 - 1 / (pixels of a common class)."""
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

    steps: Count = 5
    """Steps of the optimiser for one step of the slow weights."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of the way to the fast weights that the slow weights go."""


class Optimizer(Settings):
    """Which optimiser; `lr` is the peak rate of the decoder. Norms and biases are not decayed."""

    name: Literal["sgd", "adam", "adamw", "radam", "rmsprop", "fused_adam"] = "adamw"
    """Which optimiser. fused_adam is apex.optimizers.FusedAdam, where apex is installed."""
    lr: Positive = 1e-3
    """Peak learning rate of the decoder."""
    encoder_lr_scale: Positive = 1.0
    """Rate of the encoder's last layers, divided by the decoder's rate."""
    encoder_first_lr_scale: Positive = 1.0
    """Rate of the encoder's first layers, divided by that of its last ones. In between it changes in five geometric
    steps."""
    head_lr_scale: Positive = 1.0
    """Rate of the layers that end in classes, divided by the decoder's rate."""
    weight_decay: Weight = 0.01
    """Weight decay. In adamw, radam and fused_adam it is decoupled from the gradient."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Momentum of sgd and rmsprop."""
    nesterov: bool = False
    """Nesterov momentum. Only for sgd."""
    betas: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], Annotated[float, Field(ge=0.0, lt=1.0)]] = (0.9, 0.999)
    """Betas of adam, adamw, radam and fused_adam."""
    eps: Positive = 1e-8
    """Epsilon of the optimiser's denominator."""
    fused: bool = True
    """Use torch's fused sgd, adam and adamw on a GPU. With fp16 it is not used."""
    lookahead: Lookahead | None = None
    """Keep slow weights that follow the fast ones."""
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] = 0
    """Number of first epochs in which the encoder stays as it is."""
    freeze_encoder_steps: Annotated[int, Field(ge=0)] = 0
    """Number of first steps in which the encoder stays as it is. Give this or freeze_encoder_epochs."""

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

    metric: str | None = None
    """A score, val_cross_entropy or iou/CLASS. Null: the experiment's `monitor`."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """The rate is multiplied by this factor."""
    patience: Annotated[int, Field(ge=0)] = 5
    """The rate falls after more than this many validations without improvement."""
    threshold: Weight = 1e-4
    """A validation counts as an improvement if it is better by more than this."""


class Schedule(Settings):
    """How the learning rate moves, step by step. Shares are of all steps; rates are shares of the peak rate."""

    name: Literal[
        "one_cycle", "constant", "cosine", "warm_restarts", "poly", "step", "exponential", "plateau"
    ] = "one_cycle"  # fmt: skip
    """Shape of the curve."""
    epochs: Count = 40
    """Number of epochs."""
    warm_up: Fraction = 0.25
    """Share of the steps in which one_cycle rises."""
    linear_warm_up: Fraction = 0.0
    """Share of the steps in which the rate of any schedule also rises linearly from 0."""
    lowest: Fraction = 0.0
    """The rate that cosine, warm_restarts, poly, step, exponential and plateau fall to."""
    cycles: Count = 4
    """Number of cycles of warm_restarts. Each ends with an epoch."""
    cycle_growth: Annotated[float, Field(ge=1.0)] = 1.0
    """Length of a cycle of warm_restarts, divided by the length of the one before (T_mult)."""
    power: Positive = 0.9
    """Exponent of poly."""
    milestones: tuple[Fraction, ...] = (0.5, 0.75)
    """Shares of the steps after which the rate of `step` falls."""
    gamma: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Rate of `step` after a milestone, divided by the rate before it."""
    epoch_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    """Rate of `exponential` after an epoch, divided by the rate before it."""
    plateau: Plateau = Plateau()
    """Settings of the schedule plateau."""

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
    """Number of validations without improvement after which training stops."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.001
    """Least improvement that counts."""

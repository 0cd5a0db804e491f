"""Which optimiser trains the weights. Optimisers are built in `foldseg.training.optimizers`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, Settings, Weight
from foldseg.config.schema.choice import Choice

Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Betas = tuple[Momentum, Momentum]


class Lookahead(Settings):
    """Slow weights that follow the weights that the optimiser moves (Lookahead; arXiv:1907.08610)."""

    steps: Count = 5
    """Steps of the optimiser for one step of the slow weights."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of the way to the fast weights that the slow weights go."""


class Optimizer(Choice):
    """Which optimiser, and its learning rates. Norms and biases are not decayed."""

    first_is_default = True

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
    lookahead: Lookahead | None = None
    """Keep slow weights that follow the fast ones."""
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] = 0
    """Number of first epochs in which the encoder stays as it is."""
    freeze_encoder_steps: Annotated[int, Field(ge=0)] = 0
    """Number of first steps in which the encoder stays as it is. Give this or freeze_encoder_epochs."""

    @model_validator(mode="after")
    def _check_encoder_is_thawed_once(self) -> Self:
        if self.freeze_encoder_epochs and self.freeze_encoder_steps:
            raise ValueError(
                f"freeze_encoder_epochs {self.freeze_encoder_epochs} and freeze_encoder_steps "
                f"{self.freeze_encoder_steps}: give one of them"
            )
        return self


class AdamLike(Optimizer):
    """What optimisers of Adam's family share."""

    betas: Betas = (0.9, 0.999)
    """Decay rates of the mean and of the mean square of the gradient."""
    eps: Positive = 1e-8
    """Added to the denominator of a step."""


class AdamW(AdamLike):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    fused: bool = True
    """Use torch's fused version on a GPU. With fp16 it is not used."""


class Adam(AdamLike):
    """Adam (Kingma and Ba, 2015, arXiv:1412.6980). Weight decay is added to the gradient."""

    kind: Literal["adam"] = "adam"
    fused: bool = True
    """Use torch's fused version on a GPU. With fp16 it is not used."""


class RAdam(AdamLike):
    """Rectified Adam with decoupled weight decay (Liu et al., 2020, arXiv:1908.03265)."""

    kind: Literal["radam"] = "radam"


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.9
    """Share of the last step that the next one keeps."""
    nesterov: bool = False
    """Nesterov momentum."""
    fused: bool = True
    """Use torch's fused version on a GPU. With fp16 it is not used."""

    @model_validator(mode="after")
    def _check_nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; found momentum 0")
        return self


class RMSprop(Optimizer):
    """RMSprop: steps divided by the root of the mean square of the gradient."""

    kind: Literal["rmsprop"] = "rmsprop"
    momentum: Momentum = 0.9
    """Share of the last step that the next one keeps."""
    eps: Positive = 1e-8
    """Added to the denominator of a step."""


class FusedAdam(AdamLike):
    """apex.optimizers.FusedAdam, where apex is installed. Its weight decay is decoupled from the gradient."""

    kind: Literal["fused_adam"] = "fused_adam"

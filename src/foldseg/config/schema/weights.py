"""Which weights a run keeps beside its best and its last, and how a run is divided into stages."""

from typing import Annotated

from pydantic import Field

from foldseg.config.schema.base import Count, Fraction, Positive, Settings
from foldseg.config.schema.names import AugmentName
from foldseg.config.schema.views import TrainView


class Ema(Settings):
    """An exponential moving average of weights and batch-norm statistics, moved at every optimiser step.

    At step t (from 0) the average keeps min(decay, (1 + t) / (warm_up + t)) of itself.
    """

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    """Largest share of itself that the average keeps at a step."""
    warm_up: Annotated[float, Field(ge=1.0)] = 10.0
    """Steps over which that share rises. 1: none."""
    validated: bool = True
    """Validate the average, and keep it as best, top and snapshots. false: keep it only as ema.ckpt."""


class Swa(Settings):
    """Stochastic weight averaging (Izmailov et al., 2018, arXiv:1803.05407): the mean of the weights of epochs' ends.

    Kept as swa.ckpt, its batch-norm statistics taken from the training data. Goes with a rate that stays high: a
    constant or a warm-restarts schedule.
    """

    start: Fraction = 0.75
    """Share of the epochs after which averaging begins."""
    every: Count = 1
    """Average the weights of every so many epochs. With warm restarts: the length of a cycle."""


class Stage(Settings):
    """A span of epochs, and what it changes; what is null is as the experiment has it.

    Weights, and the optimiser's moments, are carried on; the schedule begins anew, with the stage's rate as its peak.
    """

    epochs: Count
    """Number of epochs."""
    train_view: TrainView | None = None
    """View in training. Null: as the experiment says."""
    augment: AugmentName | None = None
    """Augmentation. Null: as the experiment says."""
    batch_size: Count | None = None
    """Batch size. Null: as the experiment says."""
    lr: Positive | None = None
    """Peak learning rate. Null: as the experiment says."""

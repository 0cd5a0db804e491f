"""Averages of weights that a run keeps beside its best and last ones, and stages of a run."""

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
    """Number of steps over which that share rises. 1: it does not rise."""
    validated: bool = True
    """Validate the average, and keep it as best, top and snapshots. false: keep it only as ema.ckpt."""


class Swa(Settings):
    """Stochastic weight averaging (Izmailov et al., 2018, arXiv:1803.05407): the mean of weights at the ends of epochs.

    It is kept as swa.ckpt; batch-norm statistics are computed from the training data. It needs a learning rate that
    stays high: a constant or a warm-restarts schedule.
    """

    start: Fraction = 0.75
    """Share of the epochs after which averaging begins."""
    every: Count = 1
    """Average the weights after every n-th epoch. With warm restarts, set it to the length of a cycle."""


class Stage(Settings):
    """A span of epochs with other settings than the experiment's. A setting that is null is not changed.

    Weights and the optimiser's moments stay. The schedule starts again, with the stage's learning rate as its peak.
    """

    epochs: Count
    """Number of epochs."""
    train_view: TrainView | None = None
    """View in training. null: that of the experiment."""
    augment: AugmentName | None = None
    """Augmentation. null: that of the experiment."""
    batch_size: Count | None = None
    """Batch size. null: that of the experiment."""
    lr: Positive | None = None
    """Peak learning rate. null: that of the experiment."""

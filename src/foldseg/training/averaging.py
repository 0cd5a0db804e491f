"""Averages of weights: over steps (EMA), over epochs (SWA), over checkpoints."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from foldseg.config import schema
from foldseg.models.network import SegmentationNetwork, batch_norms
from foldseg.training.module import FoldModule

State = dict[str, Tensor]


def ema_decay(config: schema.Ema, step: int) -> float:
    """Share of itself that the average keeps at a step, counted from 0."""
    return min(config.decay, (1 + step) / (config.warm_up + step))


class EmaWeights(Callback):
    """The exponential moving average of a network's weights; in the network's place during validation if so set."""

    def __init__(self, config: schema.Ema) -> None:
        self._config = config
        self._average: State = {}
        self._steps = 0  # that the average has taken in
        self._seen = 0  # optimiser steps when it was moved last
        self._pairs: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._raw: State | None = None

    def state_dict(self) -> dict[str, Any]:
        """The average and its age."""
        return {"average": self._average, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the average of the run that is resumed."""
        self._average, self._steps = dict(state_dict["average"]), state_dict["steps"]

    @property
    def weights(self) -> State:
        """The average so far; empty before the first step."""
        return self._average

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the network's weights, or go on with the average of the resumed run."""
        values = _network(pl_module).state_dict()
        self._average = {
            name: self._average.get(name, value).to(value.device).clone() for name, value in values.items()
        }
        moving = [name for name, value in values.items() if value.is_floating_point()]
        self._pairs = [self._average[name] for name in moving], [values[name] for name in moving]
        self._seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average if the optimiser has stepped."""
        if trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        with torch.no_grad():
            torch._foreach_lerp_(*self._pairs, 1 - ema_decay(self._config, self._steps))
        self._steps += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average into the network."""
        if self._config.validated and trainer.state.fn == "fit" and self._steps:
            network = _network(pl_module)
            self._raw = {name: value.clone() for name, value in network.state_dict().items()}
            network.load_state_dict(self._average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the network's own weights back."""
        if self._raw is not None:
            _network(pl_module).load_state_dict(self._raw)
            self._raw = None

    @contextmanager
    def applied(self, network: SegmentationNetwork) -> Iterator[None]:
        """The network has, inside of the block, the weights that were validated."""
        if not self._config.validated or not self._steps:
            yield
            return
        raw = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._average)
        try:
            yield
        finally:
            network.load_state_dict(raw)


class SwaWeights(Callback):
    """The running mean of the weights at the ends of epochs, from a share of the epochs on."""

    def __init__(self, config: schema.Swa, epochs: int) -> None:
        self._config, self._first = config, swa_epochs(config, epochs)
        self._mean: State = {}
        self._count = 0

    def state_dict(self) -> dict[str, Any]:
        """The mean and of how many epochs it is."""
        return {"mean": self._mean, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the mean of the run that is resumed."""
        self._mean, self._count = dict(state_dict["mean"]), state_dict["count"]

    @property
    def weights(self) -> State:
        """The mean so far; empty when training ended before its first epoch."""
        return self._mean

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take an epoch's weights into the mean."""
        if trainer.current_epoch not in self._first:
            return
        self._count += 1
        values = _network(pl_module).state_dict()
        self._mean = {
            name: value.clone() if not self._mean or not value.is_floating_point()
            else torch.lerp(self._mean[name].to(value.device), value, 1 / self._count)
            for name, value in values.items()
        }  # fmt: skip


def swa_epochs(config: schema.Swa, epochs: int) -> list[int]:
    """Epochs, counted from 0, whose weights are averaged; the last one always is."""
    return [e for e in range(epochs) if e >= config.start * epochs and (epochs - 1 - e) % config.every == 0] or [
        epochs - 1
    ]


def mean_weights(states: Iterable[State]) -> State:
    """Mean of each tensor of floats; others (counters) are those of the last state. Keeps two states in memory."""
    mean: State = {}
    for number, state in enumerate(states, 1):
        mean = {
            name: torch.lerp(mean[name], value, 1 / number) if mean and value.is_floating_point() else value.clone()
            for name, value in state.items()
        }
    return mean


@torch.no_grad()
def update_batch_norms(network: SegmentationNetwork, batches: Iterable[Tensor]) -> None:
    """Set running means and variances to the mean over `batches` of images (N, 3, H, W) uint8.

    Weights that were averaged have statistics of their own (arXiv:1803.05407, section 3.2). Dropout is off, as it is
    when the network predicts. Batch norms that are frozen stay as they are, and so does a network without any.
    """
    network.train()
    norms = [norm for norm in batch_norms(network) if norm.training and norm.running_mean is not None]
    network.eval()
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()  # type: ignore[operator]
        norm.train()
        norm.momentum = None  # type: ignore[assignment]  # a mean over all batches
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _network(module: pl.LightningModule) -> SegmentationNetwork:
    assert isinstance(module, FoldModule)
    return module.network

"""Averages of weights: over steps (EMA), over epochs (SWA), over checkpoints."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from foldseg.config import schema
from foldseg.models.network import SegmentationNetwork, list_batch_norms
from foldseg.training.module import FoldModule

State = dict[str, Tensor]
"""A network's weights and buffers by name."""


def compute_ema_decay(config: schema.Ema, step: int) -> float:
    """Return the share of itself that the average keeps at a step, counted from 0."""
    return min(config.decay, (1 + step) / (config.warm_up + step))


class EmaWeights(Callback):
    """The exponential moving average of a network's weights.

    With `validated` in its settings, the average takes the place of the network's weights during validations.
    """

    def __init__(self, config: schema.Ema) -> None:
        self._config = config
        self._average: State = {}
        self._steps = 0  # steps that the average has taken in
        self._last_global_step = 0  # the optimiser's steps when the average was moved last
        self._moved: list[Tensor] = []  # tensors of the average that are moved
        self._targets: list[Tensor] = []  # the network's tensors that they are moved towards
        self._network_state: State | None = None  # the network's own weights while the average is in their place

    def state_dict(self) -> dict[str, Any]:
        """Return the average, and the number of steps that it has taken in."""
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
        values = _get_network(pl_module).state_dict()
        resumed = self._average
        self._average = {name: resumed.get(name, value).to(value.device).clone() for name, value in values.items()}
        moved_names = [name for name, value in values.items() if value.is_floating_point()]
        self._moved = [self._average[name] for name in moved_names]
        self._targets = [values[name] for name in moved_names]
        self._last_global_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights, if the optimiser has made a step."""
        if trainer.global_step == self._last_global_step:
            return
        self._last_global_step = trainer.global_step
        with torch.no_grad():
            torch._foreach_lerp_(self._moved, self._targets, 1 - compute_ema_decay(self._config, self._steps))
        self._steps += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the average into the network."""
        if self._average_is_validated and trainer.state.fn == "fit":
            self._network_state = self._load_average(_get_network(pl_module))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the network's own weights again."""
        if self._network_state is not None:
            _get_network(pl_module).load_state_dict(self._network_state)
            self._network_state = None

    @contextmanager
    def with_validated_weights(self, network: SegmentationNetwork) -> Iterator[None]:
        """Load the weights that were validated into the network, for the time of the block."""
        if not self._average_is_validated:
            yield
            return
        network_state = self._load_average(network)
        try:
            yield
        finally:
            network.load_state_dict(network_state)

    @property
    def _average_is_validated(self) -> bool:
        """Whether validations use the average instead of the network's own weights."""
        return self._config.validated and self._steps > 0

    def _load_average(self, network: SegmentationNetwork) -> State:
        """Load the average into the network; return a copy of the weights that it had."""
        state = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._average)
        return state


class SwaWeights(Callback):
    """The running mean of the weights at the ends of the epochs that `choose_swa_epochs` chooses."""

    def __init__(self, config: schema.Swa, epochs: int) -> None:
        self._averaged_epochs = choose_swa_epochs(config, epochs)
        self._mean: State = {}
        self._count = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the mean, and the number of epochs that it is of."""
        return {"mean": self._mean, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the mean of the run that is resumed."""
        self._mean, self._count = dict(state_dict["mean"]), state_dict["count"]

    @property
    def weights(self) -> State:
        """The mean so far. Empty if training ended before the first averaged epoch."""
        return self._mean

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's weights to the mean, if the epoch is one of the averaged ones."""
        if trainer.current_epoch in self._averaged_epochs:
            self._count += 1
            self._mean = _update_mean(self._mean, _get_network(pl_module).state_dict(), self._count)


def choose_swa_epochs(config: schema.Swa, epochs: int) -> list[int]:
    """Return the epochs, counted from 0, whose weights are averaged. The last epoch is always one of them."""
    last = epochs - 1
    averaged = [epoch for epoch in range(epochs) if epoch >= config.start * epochs]
    return [epoch for epoch in averaged if (last - epoch) % config.every == 0] or [last]


def average_weights(states: Iterable[State]) -> State:
    """Return the mean of each tensor of floats over all states. Other tensors (counters) are taken from the last state.

    Only two states are in memory at a time.
    """
    mean: State = {}
    for number, state in enumerate(states, 1):
        mean = _update_mean(mean, state, number)
    return mean


def _update_mean(mean: State, state: State, count: int) -> State:
    """Return the mean of `count` states from the mean of all but the last, and the last. `mean` is empty at first."""
    updated: State = {}
    for name, value in state.items():
        if mean and value.is_floating_point():
            updated[name] = torch.lerp(mean[name].to(value.device), value, 1 / count)
        else:
            updated[name] = value.clone()
    return updated


@torch.no_grad()
def update_batch_norms(network: SegmentationNetwork, batches: Iterable[Tensor]) -> None:
    """Set running means and variances to their mean over `batches` of images (N, C, H, W) uint8.

    Averaged weights have other statistics than the weights that were averaged (arXiv:1803.05407, section 3.2). Dropout
    is off, as in prediction. Frozen batch norms stay as they are, and so does a network without batch norms.
    """
    network.train()
    norms = [norm for norm in list_batch_norms(network) if norm.training and norm.running_mean is not None]
    network.eval()
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # None is torch's word for the mean over all batches
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _get_network(module: pl.LightningModule) -> SegmentationNetwork:
    assert isinstance(module, FoldModule)
    return module.network

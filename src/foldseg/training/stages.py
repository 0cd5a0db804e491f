"""Stages of a run: spans of epochs with a view, an augmentation, a batch size and a rate of their own.

A run without stages is a run of one. What a stage is trained on is a function of the epoch alone, so a run may be
killed and resumed in any of them.
"""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from foldseg.config import Experiment
from foldseg.training.schedules import build_schedule, rate
from foldseg.views.epoch_plan import WHOLE, Part
from foldseg.views.eval_samples import EvalSample, EvalSamples, eval_loader
from foldseg.views.train_samples import TrainSamples, epoch_sampler, train_loader

logger = logging.getLogger(__name__)


def stage_settings(experiment: Experiment) -> list[Experiment]:
    """Return the settings of each stage; schedule.epochs stays that of the whole run."""
    settings = []
    for stage in experiment.stages:
        changed: dict[str, Any] = {
            name: getattr(stage, name) for name in ("augment", "batch_size") if getattr(stage, name) is not None
        }
        if stage.train_view is not None:
            changed["view"] = experiment.view.model_copy(update={"train": stage.train_view})
        if stage.lr is not None:
            changed["optimizer"] = experiment.optimizer.model_copy(update={"lr": stage.lr})
        settings.append(experiment.model_copy(update=changed))
    return settings or [experiment]


def stage_starts(experiment: Experiment) -> list[int]:
    """Return the first epoch of each stage."""
    return [0, *accumulate(stage.epochs for stage in experiment.stages[:-1])]


def stage_of(experiment: Experiment, epoch: int) -> int:
    """Return the number of the stage that an epoch is in."""
    return bisect_right(stage_starts(experiment), epoch) - 1


def stage_lengths(experiment: Experiment) -> list[int]:
    """Return the number of epochs of each stage."""
    return [stage.epochs for stage in experiment.stages] or [experiment.schedule.epochs]


def snapshot_epochs(experiment: Experiment) -> list[int]:
    """Return the epochs, counted from 0, at whose ends a cycle of the rate ends, if those weights are to be kept."""
    if not experiment.snapshots:
        return []
    schedule = experiment.schedule
    parts = zip(stage_starts(experiment), stage_lengths(experiment), strict=True)
    return [
        start + end for start, epochs in parts for end in schedule.model_copy(update={"epochs": epochs}).cycle_ends()
    ]


def build_stages_schedule(experiment: Experiment, optimizer: Optimizer, steps: Sequence[int]) -> LambdaLR:
    """Build the schedule of a run whose stages have `steps` optimiser steps; it begins anew with each of them."""
    if not experiment.stages:
        return build_schedule(experiment.schedule, optimizer, steps[0])
    starts = [0, *accumulate(steps[:-1])]
    schedules = [experiment.schedule.model_copy(update={"epochs": stage.epochs}) for stage in experiment.stages]
    shares = [part.optimizer.lr / experiment.optimizer.lr for part in stage_settings(experiment)]

    def share(step: int) -> float:
        stage = bisect_right(starts, step) - 1
        return shares[stage] * rate(step - starts[stage], max(1, steps[stage]), schedules[stage])

    return LambdaLR(optimizer, share)


class Loaders(pl.LightningDataModule):
    """The batches of every epoch, and the validation images; of several processes that share them, one's `part`."""

    def __init__(
        self, experiment: Experiment, stages: Sequence[TrainSamples], validation: EvalSamples, part: Part = WHOLE
    ) -> None:
        super().__init__()
        self._experiment, self._settings = experiment, stage_settings(experiment)
        self._samples, self._part = stages, part
        self._validation = eval_loader(validation, experiment.workers, part)
        self._loader: tuple[int, DataLoader[Any]] | None = None
        for number in range(len(stages)):
            batches = len(self.stage_loader(number))  # what cannot be loaded should be known before the first epoch
            if experiment.accumulate > batches:
                logger.warning(
                    "accumulate: %d has the effect of %d, the batches of an epoch", experiment.accumulate, batches
                )

    @property
    def steps(self) -> list[int]:
        """Optimiser steps of each stage."""
        batches = [len(self.stage_loader(number)) for number in range(len(self._samples))]
        lengths = stage_lengths(self._experiment)
        return [-(-count // self._experiment.accumulate) * n for count, n in zip(batches, lengths, strict=True)]

    def stage_loader(self, number: int, part: Part | None = None) -> DataLoader[Any]:
        """Build the loader of a stage."""
        size = self._settings[number].batch_size
        assert isinstance(size, int)
        experiment = self._experiment
        part = self._part if part is None else part
        return train_loader(self._samples[number], size, experiment.workers, experiment.seed, part)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the epoch that comes next, told its number.

        Lightning asks for it when training begins or goes on, with stages in every epoch, and starts its workers before
        it tells the sampler the epoch.
        """
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        epoch: int = progress.processed  # trainer.current_epoch is one too low when a run goes on
        number = stage_of(self._experiment, epoch)
        if self._loader is None or self._loader[0] != number:
            self._loader = number, self.stage_loader(number)
        epoch_sampler(self._loader[1]).set_epoch(epoch)
        return self._loader[1]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Hand a batch on. RuntimeError if it is of another epoch than the one that is trained: that is never exact."""
        assert self.trainer is not None
        if self.trainer.training:
            assert self._loader is not None
            begun, epoch = epoch_sampler(self._loader[1]).begun, self.trainer.current_epoch
            if begun != epoch:
                raise RuntimeError(f"samples of epoch {begun} in epoch {epoch}")
        return batch

    def val_dataloader(self) -> DataLoader[EvalSample]:
        """Return the loader of the validation images."""
        return self._validation

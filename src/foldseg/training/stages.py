"""Stages of a run: spans of epochs with a view, an augmentation, a batch size and a rate of their own.

A run without stages counts as a run with a single stage. What a stage is trained on is a function of the epoch alone,
so a run may be killed and resumed in any stage.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from foldseg.config import Experiment
from foldseg.training.schedules import build_schedule, compute_rate
from foldseg.views.epoch_plan import SINGLE_PROCESS, TrainingProcess
from foldseg.views.eval_samples import EvalSample, EvalSamples, eval_loader
from foldseg.views.train_samples import TrainSamples, epoch_sampler, train_loader

logger = logging.getLogger(__name__)


def list_stage_settings(experiment: Experiment) -> list[Experiment]:
    """Return the settings of each stage. Their schedule.epochs is the whole run's."""
    settings = []
    for stage in experiment.stages:
        changes: dict[str, Any] = {}
        if stage.augment is not None:
            changes["augment"] = stage.augment
        if stage.batch_size is not None:
            changes["batch_size"] = stage.batch_size
        if stage.train_view is not None:
            changes["view"] = experiment.view.model_copy(update={"train": stage.train_view})
        if stage.lr is not None:
            changes["optimizer"] = experiment.optimizer.model_copy(update={"lr": stage.lr})
        settings.append(experiment.model_copy(update=changes))
    return settings or [experiment]


def list_stage_starts(experiment: Experiment) -> list[int]:
    """Return the first epoch of each stage."""
    return [0, *accumulate(stage.epochs for stage in experiment.stages[:-1])]


def find_stage(experiment: Experiment, epoch: int) -> int:
    """Return the number of the stage that an epoch is in."""
    return bisect_right(list_stage_starts(experiment), epoch) - 1


def list_stage_lengths(experiment: Experiment) -> list[int]:
    """Return the number of epochs of each stage."""
    return [stage.epochs for stage in experiment.stages] or [experiment.schedule.epochs]


def list_snapshot_epochs(experiment: Experiment) -> list[int]:
    """Return the epochs, counted from 0, at whose ends a snapshot is kept: there a cycle of the rate ends."""
    if not experiment.snapshots:
        return []
    epochs = []
    for start, length in zip(list_stage_starts(experiment), list_stage_lengths(experiment), strict=True):
        schedule = experiment.schedule.model_copy(update={"epochs": length})
        epochs += [start + end for end in schedule.list_cycle_ends()]
    return epochs


def build_stages_schedule(experiment: Experiment, optimizer: Optimizer, steps: Sequence[int]) -> LambdaLR:
    """Build the schedule of a run. It begins again with each stage; `steps`: the stages' numbers of optimiser steps."""
    if not experiment.stages:
        return build_schedule(experiment.schedule, optimizer, steps[0])
    starts = [0, *accumulate(steps[:-1])]
    schedules = [experiment.schedule.model_copy(update={"epochs": stage.epochs}) for stage in experiment.stages]
    peak_rates = [stage.optimizer.lr / experiment.optimizer.lr for stage in list_stage_settings(experiment)]

    def compute_share(step: int) -> float:
        """Return the rate of a step as a share of the run's peak rate."""
        stage = bisect_right(starts, step) - 1
        return peak_rates[stage] * compute_rate(step - starts[stage], max(1, steps[stage]), schedules[stage])

    return LambdaLR(optimizer, compute_share)


class Loaders(pl.LightningDataModule):
    """The batches of every epoch, and the validation images. Each of several processes has an equal share of them."""

    def __init__(
        self,
        experiment: Experiment,
        stages: Sequence[TrainSamples],
        validation: EvalSamples,
        process: TrainingProcess = SINGLE_PROCESS,
    ) -> None:
        super().__init__()
        self._experiment, self._settings = experiment, list_stage_settings(experiment)
        self._samples, self._process = stages, process
        self._validation = eval_loader(validation, experiment.workers, process)
        self._loader: tuple[int, DataLoader[Any]] | None = None  # number and loader of the current stage
        for number in range(len(stages)):
            # Building all loaders here reports what cannot be loaded before the first epoch
            batches = len(self.stage_loader(number))
            if experiment.accumulate > batches:
                logger.warning(
                    "accumulate: %d has the effect of %d, the batches of an epoch", experiment.accumulate, batches
                )

    @property
    def steps(self) -> list[int]:
        """Number of optimiser steps of each stage."""
        steps = []
        for number, epochs in enumerate(list_stage_lengths(self._experiment)):
            batches = len(self.stage_loader(number))
            steps.append(math.ceil(batches / self._experiment.accumulate) * epochs)
        return steps

    def stage_loader(self, number: int, process: TrainingProcess | None = None) -> DataLoader[Any]:
        """Build the loader of a stage; `process`: None for the one that these loaders belong to."""
        size = self._settings[number].batch_size
        assert isinstance(size, int)
        experiment = self._experiment
        process = self._process if process is None else process
        return train_loader(self._samples[number], size, experiment.workers, experiment.seed, process)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the next epoch.

        Lightning asks for it when training begins or goes on, and in every epoch if there are stages. It starts the
        loader's workers before it tells the sampler the epoch. So the sampler is told the epoch here.
        """
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        epoch: int = progress.processed  # trainer.current_epoch is one too low when a run goes on
        number = find_stage(self._experiment, epoch)
        if self._loader is None or self._loader[0] != number:
            self._loader = number, self.stage_loader(number)
        epoch_sampler(self._loader[1]).set_epoch(epoch)
        return self._loader[1]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Return the batch. RuntimeError if it belongs to another epoch than the one that is trained."""
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

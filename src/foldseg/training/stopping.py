"""Why a training ends, and early stopping."""

import math
from collections.abc import Sequence
from enum import Enum

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from foldseg.config import Experiment
from foldseg.config.schema.definitions import is_lower_better
from foldseg.training.stages import stage_starts


class StopReason(Enum):
    """Why a training ended; the value is what summary.json says, with the name of what is monitored."""

    SCHEDULE_ENDED = "the schedule ended"
    NO_BETTER = "{monitor} got no better"
    UNDEFINED = "{monitor} was never defined"

    def text(self, monitor: str) -> str:
        """Return what summary.json says."""
        return self.value.format(monitor=monitor)


def stop_reason(experiment: Experiment, rows: Sequence[dict[str, float]]) -> StopReason:
    """Return why a training that has come to its end with these epochs (rows of metrics.csv) ended."""
    if len(rows) == experiment.schedule.epochs:
        return StopReason.SCHEDULE_ENDED
    values = [row[experiment.monitor] for row in rows if experiment.monitor in row]
    return StopReason.UNDEFINED if all(map(math.isnan, values)) else StopReason.NO_BETTER


class _EarlyStopping(EarlyStopping):
    """Lightning's, but a run that was killed after it had stopped does not go on training when it is resumed.

    With stages, only the last of them is stopped early.
    """

    first_epoch = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the score, if it counts yet."""
        if trainer.current_epoch >= self.first_epoch:
            super().on_validation_end(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if it had stopped already."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def build_early_stopping(experiment: Experiment) -> EarlyStopping | None:
    """Build the callback that an experiment asks for. A score that is NaN (undefined) counts as no better."""
    stop = experiment.early_stopping
    if stop is None:
        return None
    stopper = _EarlyStopping(
        experiment.monitor,
        mode="min" if is_lower_better(experiment.monitor) else "max",
        patience=stop.patience,
        min_delta=stop.min_delta,
        check_finite=False,
        check_on_train_epoch_end=False,  # but after a validation, which not every epoch has
    )
    stopper.first_epoch = stage_starts(experiment)[-1]
    return stopper

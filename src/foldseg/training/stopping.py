"""Early stopping, and the reason why a training ended."""

import math
from collections.abc import Sequence
from enum import Enum

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from foldseg.config import Experiment
from foldseg.config.schema.definitions import is_lower_better
from foldseg.training.stages import list_stage_starts


class StopReason(Enum):
    """Why a training ended. The values are the texts of summary.json; {monitor} stands for the monitored number."""

    SCHEDULE_ENDED = "the schedule ended"
    NO_BETTER = "{monitor} got no better"
    UNDEFINED = "{monitor} was never defined"

    def text(self, monitor: str) -> str:
        """Return the text of summary.json."""
        return self.value.format(monitor=monitor)


def find_stop_reason(experiment: Experiment, rows: Sequence[dict[str, float]]) -> StopReason:
    """Return why a finished training ended. `rows`: those of metrics.csv, one per epoch."""
    if len(rows) == experiment.schedule.epochs:
        return StopReason.SCHEDULE_ENDED
    values = [row[experiment.monitor] for row in rows if experiment.monitor in row]
    return StopReason.UNDEFINED if all(map(math.isnan, values)) else StopReason.NO_BETTER


class _EarlyStopping(EarlyStopping):
    """Lightning's early stopping, except that a run that has stopped does not go on when it is resumed.

    With stages, only the last stage is stopped early. The name of this class is part of checkpoints.
    """

    first_epoch = 0
    """First epoch whose validation counts."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the validation, if it counts already."""
        if trainer.current_epoch >= self.first_epoch:
            super().on_validation_end(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if the run had stopped before it was killed."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def build_early_stopping(experiment: Experiment) -> EarlyStopping | None:
    """Build the callback that an experiment asks for, if it does. NaN (undefined) counts as no better."""
    config = experiment.early_stopping
    if config is None:
        return None
    stopper = _EarlyStopping(
        experiment.monitor,
        mode="min" if is_lower_better(experiment.monitor) else "max",
        patience=config.patience,
        min_delta=config.min_delta,
        check_finite=False,
        check_on_train_epoch_end=False,  # not every epoch has a validation
    )
    stopper.first_epoch = list_stage_starts(experiment)[-1]
    return stopper

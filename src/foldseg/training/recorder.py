"""Writes checkpoints, metrics.csv and TensorBoard files while a run is trained, so that they always agree."""

import logging
import math
import time
from contextlib import nullcontext
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch.utils.tensorboard.summary import image, scalar

from foldseg.config import Experiment
from foldseg.config.schema.definitions import LOSSES
from foldseg.files import write_text
from foldseg.runs.checkpoints import replacing_weights
from foldseg.runs.run_folder import RunFolder
from foldseg.training.averaging import EmaWeights
from foldseg.training.events import EventFile
from foldseg.training.module import FoldModule
from foldseg.training.stages import find_stage, list_snapshot_epochs
from foldseg.training.validation import make_comparable

logger = logging.getLogger(__name__)


class Recorder(Checkpoint):
    """Writes a row of metrics and `last.ckpt` after every epoch, and `best.ckpt` if the epoch is the best so far.

    On request it also writes `top_<epoch>.ckpt` for the best epochs, `epoch_<epoch>.ckpt` at regular intervals, and
    `snapshot_<k>.ckpt` at the ends of the rate's cycles. All but `last.ckpt` hold only weights, and they are the
    weights that were validated: with an EMA, the average.

    Lightning's own ModelCheckpoint and CSVLogger are not used. After a resume, the first leaves `last-v1.ckpt` behind
    and the second starts a new log. Here the rows are part of `last.ckpt`, so log and checkpoints always agree. The
    name of this class is part of checkpoints.
    """

    def __init__(self, run: RunFolder, experiment: Experiment, ema: EmaWeights | None = None) -> None:
        self._run, self._experiment, self._monitor = run, experiment, experiment.monitor
        self._ema, self._snapshot_epochs = ema, list_snapshot_epochs(experiment)
        self.rows: list[dict[str, float]] = []
        self._started = time.monotonic()
        self._events: EventFile | None = None

    @property
    def best_row(self) -> dict[str, float]:
        """The row of the epoch with the best monitored number; of equal ones, the first."""
        return max(self._validated_rows, key=self._rank)

    @property
    def top_epochs(self) -> list[int]:
        """The `top_k` best epochs, the best first; of equal ones, the earliest first."""
        ordered = sorted(self._validated_rows, key=lambda row: -self._rank(row))
        return [int(row["epoch"]) for row in ordered[: self._experiment.top_k or 0]]

    @property
    def required_checkpoints(self) -> list[str]:
        """Names of the checkpoints besides `last` that the end of the run needs: the best and the top ones."""
        best = ["best"] if self._validated_rows else []
        return best + [f"top_{epoch}" for epoch in self.top_epochs]

    @property
    def _validated_rows(self) -> list[dict[str, float]]:
        return [row for row in self.rows if self._monitor in row]

    def _rank(self, row: dict[str, float]) -> float:
        return make_comparable(self._monitor, row[self._monitor])

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, as plain dictionaries."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the rows of the run that is resumed."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch. This runs after early stopping, so the checkpoint has the state of that, too."""
        assert isinstance(pl_module, FoldModule)
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": rate}
        if self._experiment.stages:
            row["stage"] = find_stage(self._experiment, trainer.current_epoch)
        row |= {"seconds": round(time.monotonic() - self._started, 1)} | pl_module.metrics
        self.rows.append(row)
        is_best = self._monitor in row and self.best_row is row
        with self._ema.with_validated_weights(pl_module.network) if self._ema else nullcontext():
            for name in self._name_checkpoints(trainer.current_epoch, is_best):
                self._save(trainer, name)
        if trainer.is_global_zero:
            self._write_events(pl_module, row)
        # If the process ends before this checkpoint is written, the resumed run does all of the above again
        self._save(trainer, "last")
        if trainer.is_global_zero:
            self.remove_surpassed_checkpoints()
            self.write_metrics()
        self._log(row, is_best, trainer.max_epochs)

    def _log(self, row: dict[str, float], is_best: bool, epochs: int | None) -> None:
        if math.isnan(row.get(self._monitor, 0.0)):
            logger.warning("epoch %d: %s is undefined (NaN); it counts as no better", row["epoch"], self._monitor)
        result = f", {self._monitor} {row[self._monitor]:.4f}" if self._monitor in row else ""
        result += " (best)" if is_best else ""
        epoch = f"{row['epoch'] + 1}/{epochs}"
        loss, seconds = row["train_loss"], row["seconds"]
        logger.info("%s epoch %s: loss %.4f%s, %.1f s", self._run.path, epoch, loss, result, seconds)

    def write_metrics(self) -> None:
        """Write metrics.csv."""
        write_text(self._run.metrics, pd.DataFrame(self.rows).to_csv(index=False, lineterminator="\n"))

    def remove_surpassed_checkpoints(self) -> None:
        """Remove top checkpoints of epochs that are no longer among the best. First, last.ckpt must say so."""
        top_paths = {self._run.checkpoint(f"top_{epoch}") for epoch in self.top_epochs}
        for path in set(self._run.last.parent.glob("top_*.ckpt")) - top_paths:
            path.unlink(missing_ok=True)

    def _name_checkpoints(self, epoch: int, is_best: bool) -> list[str]:
        """Return the names of the checkpoints in which an epoch's validated weights are saved."""
        names = []
        if is_best:
            names.append("best")
        if epoch in self.top_epochs:
            names.append(f"top_{epoch}")
        interval = self._experiment.keep_every
        if interval and (epoch + 1) % interval == 0:
            names.append(f"epoch_{epoch}")
        if epoch in self._snapshot_epochs:
            names.append(f"snapshot_{self._snapshot_epochs.index(epoch) + 1}")
        return names

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        path = self._run.checkpoint(name)
        with replacing_weights(path) if trainer.is_global_zero else nullcontext(path) as partial:
            trainer.save_checkpoint(partial, weights_only=name != "last")

    def _write_events(self, module: FoldModule, row: dict[str, float]) -> None:
        """Write the numbers and pictures of an epoch for TensorBoard."""
        epoch = int(row["epoch"])
        if self._events is None:
            self._events = EventFile(self._run.path / "tensorboard", epoch)
        summaries = []
        for name, value in row.items():
            if name not in ("epoch", "step") and not math.isnan(value):
                summaries.append(scalar(_tag(name), value))  # type: ignore[no-untyped-call]
        for number, picture in enumerate(module.pictures):
            tag = f"frame, truth, prediction/{number}"
            summaries.append(image(tag, picture, dataformats="HWC"))  # type: ignore[no-untyped-call]
        self._events.write(summaries, epoch)


def _tag(name: str) -> str:
    """Return the name of a number in TensorBoard, which begins with its group: loss/, iou/ or run/."""
    if "/" in name:
        return name
    is_loss = name.startswith("train_") or name in LOSSES
    return f"loss/{name}" if is_loss else f"run/{name}"

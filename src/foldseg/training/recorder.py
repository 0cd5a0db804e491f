"""What a run leaves on disk while it is trained: checkpoints, metrics.csv and TensorBoard, in step with each other."""

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
from foldseg.training.stages import snapshot_epochs, stage_of
from foldseg.training.validation import make_comparable

logger = logging.getLogger(__name__)


class Recorder(Checkpoint):
    """After every epoch: one row of metrics, `last.ckpt`, and `best.ckpt` if what is monitored was never better.

    If asked for, also `top_<epoch>.ckpt` of the best epochs, `epoch_<epoch>.ckpt` at regular intervals and
    `snapshot_<k>.ckpt` of the ends of the rate's cycles. All but `last.ckpt` hold weights alone, and those that were
    validated: with an EMA, the average.

    Lightning's own ModelCheckpoint and CSVLogger are not used: after a resume the one leaves `last-v1.ckpt` behind
    and the other starts the log anew. Here the rows are part of `last.ckpt`, so log and checkpoints always agree.
    """

    def __init__(self, run: RunFolder, experiment: Experiment, ema: EmaWeights | None = None) -> None:
        self._run, self._experiment, self._monitor = run, experiment, experiment.monitor
        self._ema, self._snapshots = ema, snapshot_epochs(experiment)
        self.rows: list[dict[str, float]] = []
        self._started = time.monotonic()
        self._events: EventFile | None = None

    @property
    def best(self) -> dict[str, float]:
        """The row of the first epoch that is best by what is monitored."""
        validated = [row for row in self.rows if self._monitor in row]
        return max(validated, key=self._goodness)

    @property
    def top(self) -> list[int]:
        """The best epochs, as many as are to be kept; the best first, of equals the earliest."""
        validated = [row for row in self.rows if self._monitor in row]
        ordered = sorted(validated, key=lambda row: -self._goodness(row))
        return [int(row["epoch"]) for row in ordered[: self._experiment.top_k or 0]]

    @property
    def needed(self) -> list[str]:
        """Names of the checkpoints, beside the last, that the end of the run is made of: the best and the top ones."""
        is_validated = any(self._monitor in row for row in self.rows)
        return [*(["best"] if is_validated else []), *(f"top_{epoch}" for epoch in self.top)]

    def _goodness(self, row: dict[str, float]) -> float:
        return make_comparable(self._monitor, row[self._monitor])

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain dictionaries."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the rows of the run that is resumed."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch. Runs after early stopping, whose state is then in the checkpoint too."""
        assert isinstance(pl_module, FoldModule)
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": rate}
        if self._experiment.stages:
            row["stage"] = stage_of(self._experiment, trainer.current_epoch)
        row |= {"seconds": round(time.monotonic() - self._started, 1)} | pl_module.metrics
        self.rows.append(row)
        is_best = self._monitor in row and self.best is row
        with self._ema.applied(pl_module.network) if self._ema else nullcontext():
            for name in self._names(trainer.current_epoch, is_best):
                self._save(trainer, name)
        if trainer.is_global_zero:
            self._draw(pl_module, row)
        self._save(trainer, "last")  # what comes before it is done again by a run that goes on, should it fail
        if trainer.is_global_zero:
            self.remove_surpassed()
            self.write_metrics()
        if math.isnan(row.get(self._monitor, 0.0)):
            logger.warning("epoch %d: %s is undefined (NaN); it counts as no better", row["epoch"], self._monitor)
        shown = f", {self._monitor} {row[self._monitor]:.4f}" if self._monitor in row else ""
        shown += " (best)" if is_best else ""
        done = f"{row['epoch'] + 1}/{trainer.max_epochs}"
        logger.info("%s epoch %s: loss %.4f%s, %.1f s", self._run.path, done, row["train_loss"], shown, row["seconds"])

    def write_metrics(self) -> None:
        """Write metrics.csv."""
        write_text(self._run.metrics, pd.DataFrame(self.rows).to_csv(index=False, lineterminator="\n"))

    def remove_surpassed(self) -> None:
        """Remove checkpoints of epochs that are not among the best any more; not before last.ckpt knows of it."""
        kept = {self._run.checkpoint(f"top_{epoch}") for epoch in self.top}
        for path in set(self._run.last.parent.glob("top_*.ckpt")) - kept:
            path.unlink(missing_ok=True)

    def _names(self, epoch: int, is_best: bool) -> list[str]:
        """Names of the checkpoints that an epoch's validated weights are saved as."""
        names = ["best"] if is_best else []
        names += [f"top_{epoch}"] if epoch in self.top else []
        every = self._experiment.keep_every
        names += [f"epoch_{epoch}"] if every and (epoch + 1) % every == 0 else []
        return names + ([f"snapshot_{self._snapshots.index(epoch) + 1}"] if epoch in self._snapshots else [])

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        path = self._run.checkpoint(name)
        with replacing_weights(path) if trainer.is_global_zero else nullcontext(path) as partial:
            trainer.save_checkpoint(partial, weights_only=name != "last")

    def _draw(self, module: FoldModule, row: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        if self._events is None:
            self._events = EventFile(self._run.path / "tensorboard", epoch)
        drawn = [
            scalar(_tag(name), value)  # type: ignore[no-untyped-call]
            for name, value in row.items()
            if name not in ("epoch", "step") and not math.isnan(value)
        ]
        drawn += [
            image(f"frame, truth, prediction/{number}", picture, dataformats="HWC")  # type: ignore[no-untyped-call]
            for number, picture in enumerate(module.pictures)
        ]
        self._events.write(drawn, epoch)


def _tag(name: str) -> str:
    """Group of a number in TensorBoard: losses, IoU per class, scores."""
    if "/" in name:
        return name
    return ("loss/" if name.startswith("train_") or name in LOSSES else "run/") + name

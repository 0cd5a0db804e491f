"""What a run leaves on disk while it is trained: checkpoints, metrics.csv and TensorBoard, in step with each other."""

import logging
import math
import time
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch.utils.tensorboard import SummaryWriter

from foldseg.errors import FoldsegError
from foldseg.files import replacing, write_text
from foldseg.training.module import FoldModule
from foldseg.training.run import RunFolder

logger = logging.getLogger(__name__)


class Recorder(Checkpoint):
    """After every epoch: one row of metrics, `last.ckpt`, and `best.ckpt` if the monitored score has risen.

    Lightning's own ModelCheckpoint and CSVLogger are not used: after a resume the one leaves `last-v1.ckpt` behind
    and the other starts the log anew. Here the rows are part of `last.ckpt`, so log and checkpoints always agree.
    """

    def __init__(self, run: RunFolder, monitor: str) -> None:
        self._run, self._monitor = run, monitor
        self.rows: list[dict[str, float]] = []
        self._started = time.monotonic()
        self._writer: SummaryWriter | None = None

    @property
    def best(self) -> dict[str, float]:
        """The row of the first epoch with the highest score."""
        validated = [row for row in self.rows if self._monitor in row]
        return max(validated, key=lambda row: _comparable(row[self._monitor]))

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
        row |= {"seconds": round(time.monotonic() - self._started, 1)} | pl_module.metrics
        self.rows.append(row)
        is_best = self._monitor in row and self.best is row
        if is_best:
            self._save(trainer, weights_only=True)
        self._save(trainer, weights_only=False)
        self.write_metrics()
        self._draw(pl_module, row)
        shown = f", {self._monitor} {row[self._monitor]:.4f}" if self._monitor in row else ""
        shown += " (best)" if is_best else ""
        done = f"{row['epoch'] + 1}/{trainer.max_epochs}"
        logger.info("%s epoch %s: loss %.4f%s, %.1f s", self._run.path, done, row["train_loss"], shown, row["seconds"])

    def write_metrics(self) -> None:
        """Write metrics.csv."""
        write_text(self._run.metrics, pd.DataFrame(self.rows).to_csv(index=False, lineterminator="\n"))

    def _save(self, trainer: pl.Trainer, *, weights_only: bool) -> None:
        path = self._run.best if weights_only else self._run.last
        with replacing(path) as partial:
            try:
                trainer.save_checkpoint(partial, weights_only=weights_only)
            except RuntimeError as error:  # torch's writer hides the operating system's reason, a full disk most often
                raise FoldsegError(f"{path}: could not be written (is the disk full?): {error}") from error

    def _draw(self, module: FoldModule, row: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        if self._writer is None:
            self._writer = SummaryWriter(str(self._run.path / "tensorboard"), purge_step=epoch if epoch else None)
        for name, value in row.items():
            if name not in ("epoch", "step") and not math.isnan(value):
                self._writer.add_scalar(_tag(name), value, epoch)
        for number, picture in enumerate(module.pictures):
            self._writer.add_image(f"frame, truth, prediction/{number}", picture, epoch, dataformats="HWC")
        self._writer.flush()


def _tag(name: str) -> str:
    """Group of a number in TensorBoard: losses, IoU per class, scores."""
    if "/" in name:
        return name
    return ("loss/" if name.startswith("train_") or name == "val_cross_entropy" else "run/") + name


def _comparable(value: float) -> float:
    return -math.inf if math.isnan(value) else value

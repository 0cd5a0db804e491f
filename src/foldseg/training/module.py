"""What one step of training and of validation computes."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from foldseg.config import Experiment
from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.errors import FoldsegError
from foldseg.losses import segmentation_loss
from foldseg.models.factory import SegmentationNetwork
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.scores import SCORES, iou, score
from foldseg.training.optimizers import build_optimizer, build_schedule
from foldseg.training.pictures import triplet
from foldseg.views.geometry import probabilities, restore
from foldseg.views.samples import EvalSample, TrainBatch

_PICTURES = 3  # validation images that are drawn every epoch


class FoldModule(pl.LightningModule):
    """A network being trained on one fold. After each epoch, `metrics` holds its row of numbers."""

    def __init__(
        self,
        experiment: Experiment,
        labels: LabelSet,
        network: SegmentationNetwork,
        class_weights: Tensor | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.experiment, self.labels = experiment, labels
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.metrics: dict[str, float] = {}
        self.pictures: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._counts: list[Counts] = []
        self._log_loss: list[float] = []
        self._loss_sums: dict[str, Tensor] = {}
        self._unchecked: tuple[Tensor, list[str]] | None = None

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move what the network reads; truth of validation images stays where it is scored."""
        if isinstance(batch, TrainBatch):
            images, masks = (t.to(device, non_blocking=True) for t in (batch.images, batch.masks))
            return TrainBatch(images, masks, batch.ids)
        return EvalSample(batch.id, batch.inputs.to(device, non_blocking=True), batch.mask, batch.grid)

    # Training

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's numbers."""
        self.metrics, self.pictures = {}, []
        self._loss_sums, self._unchecked = {}, None

    def on_train_batch_start(self, batch: TrainBatch, batch_idx: int) -> None:
        """Derive the step's random numbers (dropout) from seed, epoch and batch, so that resuming is exact."""
        state = np.random.SeedSequence([self.experiment.seed, self.current_epoch, batch_idx]).generate_state(1)
        torch.manual_seed(int(state[0]))

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        self._stop_if_not_finite()
        total, terms = segmentation_loss(
            self.network(batch.images), batch.masks, self.experiment.loss, self.class_weights
        )
        self._unchecked = (total.detach(), batch.ids)
        for name, value in {
            "train_loss": total.detach(),
            **{f"train_{k}": v for k, v in terms.items()},
        }.items():
            self._loss_sums[name] = self._loss_sums.get(name, torch.zeros_like(value)) + value
        return total

    def _stop_if_not_finite(self) -> None:
        """Check the previous batch: one step late, so that a GPU is not waited for. Checkpoints are older still."""
        if self._unchecked is None:
            return
        loss, ids = self._unchecked
        if not bool(torch.isfinite(loss)):
            raise FoldsegError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}, on the images {', '.join(ids)}; "
                "the last checkpoint is kept. Lower optimizer.lr, set clip_gradient_norm or use precision=fp32"
            )

    def on_train_epoch_end(self) -> None:
        """Put the epoch's mean losses into `metrics`."""
        self._stop_if_not_finite()
        batches = max(1, int(self.trainer.num_training_batches))
        self.metrics |= {name: float(value) / batches for name, value in self._loss_sums.items()}

    # Validation

    def on_validation_epoch_start(self) -> None:
        """Start counting anew."""
        self._counts, self._log_loss, self.pictures = [], [], []

    def validation_step(self, sample: EvalSample, batch_idx: int) -> None:
        """Count the pixels of one image, on its original grid, in the run's own prediction view."""
        assert sample.mask is not None
        maps = restore(probabilities(self.network, sample.inputs, self.experiment.view.predict), sample.grid)[0]
        prediction = maps.argmax(0).to(torch.uint8).cpu().numpy()
        self._counts.append(count_pixels(sample.mask, prediction, len(self.labels)))
        truth = torch.from_numpy(sample.mask).to(maps.device).long()
        log_loss = functional.nll_loss(maps.clamp_min(1e-7).log()[None], truth[None], ignore_index=IGNORE_INDEX)
        self._log_loss.append(float(log_loss))
        if len(self.pictures) < _PICTURES:
            self.pictures.append(triplet(sample, prediction, self.labels))

    def on_validation_epoch_end(self) -> None:
        """Put every score into `metrics` and give the monitored one to early stopping."""
        counts = np.stack(self._counts)
        known = [value for value in self._log_loss if not math.isnan(value)]  # NaN: an image that is all void
        self.metrics["val_cross_entropy"] = sum(known) / len(known) if known else math.nan
        self.metrics |= {name: score(name, counts, self.labels).value for name in SCORES}
        per_class = iou(counts.sum(0)).tolist()
        self.metrics |= {f"iou/{name}": value for name, value in zip(self.labels.names, per_class, strict=True)}
        self.log_dict({self.experiment.monitor: self.metrics[self.experiment.monitor]}, prog_bar=True)

    # Optimisation

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the schedule of the configuration, stepped after every batch."""
        optimizer = build_optimizer(self.experiment.optimizer, self.network)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(self.experiment.schedule, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let a checkpoint say, in plain types, what it is."""
        checkpoint["foldseg"] = {
            "classes": self.labels.names,
            "model": self.experiment.model.model_dump(mode="json"),
        }

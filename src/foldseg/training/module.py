"""One step of training, and one of validation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from foldseg.config import Experiment
from foldseg.config.schema.definitions import PRECISIONS
from foldseg.data.labels import Image, LabelSet
from foldseg.losses import outputs_loss
from foldseg.models.input_sizes import explained_forward
from foldseg.models.network import SegmentationNetwork, freeze_encoder, thaw_encoder
from foldseg.training.devices import gather
from foldseg.training.distillation import Distiller
from foldseg.training.epoch_statistics import EpochStatistics
from foldseg.training.memory import keep_freed_memory, return_freed_memory
from foldseg.training.optimizers import build_optimizer
from foldseg.training.schedules import RateSchedule, check_watched_metric
from foldseg.training.stages import build_stages_schedule
from foldseg.training.validation import Validation
from foldseg.views.eval_samples import EvalSample
from foldseg.views.train_samples import TrainBatch


class FoldModule(pl.LightningModule):
    """A network that is trained on one fold. After each epoch, `metrics` holds the epoch's numbers by name."""

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
        self.pictures: list[Image] = []
        self._validation = Validation(experiment.view.predict, labels, experiment.eval_batch_size, experiment.monitor)
        self._precision = PRECISIONS[experiment.precision]
        self._statistics = EpochStatistics(
            experiment.on_non_finite, experiment.max_skipped, scaled=self._precision.scales_gradients
        )
        self._buffer_copies: list[tuple[Tensor, Tensor]] = []  # buffers, and what they were before the step
        self.distiller: Distiller | None = None
        self.stage_steps: Sequence[int] = ()  # optimiser steps of each stage; (): one stage of all steps
        check_watched_metric(experiment, labels)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move what the network reads. Masks of validation images stay on the CPU, where they are scored."""
        if isinstance(batch, TrainBatch):
            images = batch.images.to(device, non_blocking=True)
            masks = batch.masks.to(device, non_blocking=True)
            return TrainBatch(images, masks, batch.ids)
        return EvalSample(batch.id, batch.inputs.to(device, non_blocking=True), batch.mask, batch.grid)

    # Training

    def on_fit_start(self) -> None:
        """Move the teachers, which are no part of the module, to its device."""
        if self.distiller is not None:
            self.distiller.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Reset the numbers of the epoch."""
        keep_freed_memory()
        self.metrics, self.pictures = {}, []
        self._statistics.start(self.current_epoch)

    def on_train_batch_start(self, batch: TrainBatch, batch_idx: int) -> None:
        """Freeze or thaw the encoder if this is the step for it, and seed the random numbers of the step (dropout).

        The seed depends on the experiment's seed, the epoch and the batch alone, so that resuming is exact.
        """
        config = self.experiment.optimizer
        in_frozen_epoch = self.current_epoch < config.freeze_encoder_epochs
        in_frozen_step = self.trainer.global_step < config.freeze_encoder_steps
        is_frozen = in_frozen_epoch or in_frozen_step
        if is_frozen and not self.network.encoder_is_frozen:
            freeze_encoder(self.network)
        elif not is_frozen and self.network.encoder_is_frozen:
            thaw_encoder(self.network)
        if self.experiment.on_non_finite == "skip" and batch_idx % self.experiment.accumulate == 0:
            self._buffer_copies = [(b, b.clone()) for b in self.network.buffers()]
        state = np.random.SeedSequence([self.experiment.seed, self.current_epoch, batch_idx]).generate_state(1)
        torch.manual_seed(int(state[0]))

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        with explained_forward(self.network, batch.images):
            outputs = self.network.outputs(batch.images)
        total, parts = outputs_loss(
            outputs, batch.masks, self.experiment.loss, self.class_weights, self.labels.overlapping
        )
        if self.distiller is not None:
            distillation_total, distillation_parts = self.distiller.compute_loss(batch.images, outputs.logits)
            total, parts = total + distillation_total, parts | distillation_parts
        self._statistics.add_loss(total, parts, batch.ids)
        return total

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Note the norm of the gradient, then clip it. Remove the gradient if the step is to be left out."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._statistics.add_norm(norm):
            for buffer, before in self._buffer_copies:
                buffer.copy_(before)
            # A scaler leaves the step out itself, and needs the gradient to see why
            if not self._precision.scales_gradients:
                optimizer.zero_grad()
        elif gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def on_train_epoch_end(self) -> None:
        """Put the epoch's mean losses and gradient norms into `metrics`, and the scale of a gradient scaler."""
        rows = gather([self._statistics.compute_means()])
        self.metrics |= {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            self.metrics["loss_scale"] = float(scaler.get_scale())

    def on_train_batch_end(self, outputs: Any, batch: TrainBatch, batch_idx: int) -> None:
        """Keep no freed memory after the last batch: forked workers of the validation would have it, too."""
        if self.trainer.is_last_batch:
            return_freed_memory()

    # Validation

    def on_validation_epoch_start(self) -> None:
        """Reset the validation."""
        self._validation.start()

    def validation_step(self, sample: EvalSample, batch_idx: int) -> None:
        """Count the pixels of one image."""
        with explained_forward(self.network, sample.inputs):
            self._validation.add(self.network, sample)

    def on_validation_epoch_end(self) -> None:
        """Put the numbers of the validation into `metrics`, and pass them to the schedule and to early stopping."""
        with self.trainer.precision_plugin.val_step_context():
            self._validation.predict_waiting(self.network)
        self.metrics |= self._validation.compute_metrics()
        self.pictures = self._validation.pictures
        in_training = self.trainer.state.fn == "fit" and not self.trainer.sanity_checking
        schedule = self.lr_schedulers() if in_training else None
        if isinstance(schedule, RateSchedule):
            schedule.observe_validation(self.experiment, self.metrics)
        self.log_dict({self.experiment.monitor: self.metrics[self.experiment.monitor]}, prog_bar=True)

    # Optimisation

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the schedule of the configuration. The schedule makes a step after every batch."""
        config = self.experiment.optimizer
        can_be_fused = self.device.type == "cuda" and not self._precision.scales_gradients
        optimizer = build_optimizer(config, self.network, can_be_fused=can_be_fused)
        steps = self.stage_steps or [int(self.trainer.estimated_stepping_batches)]
        schedule = build_stages_schedule(self.experiment, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint, in plain types, what it holds: classes and model; also the critic of a distillation."""
        checkpoint["foldseg"] = {
            "classes": self.labels.names,
            "model": self.experiment.model.model_dump(mode="json"),
        }
        if self.distiller is not None:
            checkpoint["distillation"] = self.distiller.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the critic of a distillation."""
        if self.distiller is not None:
            self.distiller.load_state_dict(checkpoint["distillation"])

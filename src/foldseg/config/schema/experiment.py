"""One recipe for training."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import (
    AugmentName,
    ConflictError,
    Count,
    MonitorName,
    Name,
    Positive,
    ScoreName,
    Settings,
    UserPath,
)
from foldseg.config.schema.data import Data
from foldseg.config.schema.distillation import Distillation
from foldseg.config.schema.model import Model
from foldseg.config.schema.sampling import CopyPaste, CutMix, Sampling
from foldseg.config.schema.training import EarlyStopping, Loss, Optimizer, Schedule
from foldseg.config.schema.views import View
from foldseg.config.schema.weights import Ema, Stage, Swa


class Experiment(Settings):
    """One recipe for training; `name` is that of its YAML file and of its folder of runs."""

    name: Name
    data: Data
    model: Model = Model()
    view: View
    augment: AugmentName = "light"
    sampling: Sampling = Sampling()
    cut_mix: CutMix | None = None
    copy_paste: CopyPaste | None = None
    loss: Loss = Loss(cross_entropy=1.0)
    distillation: Distillation | None = None  # terms of a larger network's opinion, added to the loss
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    stages: tuple[Stage, ...] = ()  # spans of schedule.epochs, each with its own view, batch size, rate; (): one
    ema: Ema | None = None
    swa: Swa | None = None
    snapshots: bool = False  # keep snapshot_<k>.ckpt at the end of the k-th cycle (from 1) of warm restarts
    top_k: Count | None = None  # keep top_<epoch>.ckpt of so many best epochs, and their average.ckpt
    keep_every: Count | None = None  # keep epoch_<n>.ckpt (from 0) at the end of every so-manieth epoch
    train_images: Count | None = None  # only so many, drawn by `seed`: for trying things out, or for learning curves
    monitor: MonitorName = "dataset_miou"  # chooses the best checkpoint and stops early; a loss: less is better
    validate_every: Count = 1  # epochs
    early_stopping: EarlyStopping | None = EarlyStopping()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # bf16 also pays on CPUs that have AVX-512 BF16
    batch_size: Count | Literal["auto"] = 8  # of all devices together; auto: the largest power of two that fits a GPU
    eval_batch_size: Count = 1  # images of the same size that are validated or predicted together
    # What stores of predictions hold: probabilities in 8 bits, or logits in 16 at the size that the network's head
    # enlarges; these only in the full view without TTA
    predictions: Literal["probabilities", "logits"] = "probabilities"
    accumulate: Count = 1  # batches whose gradients are averaged into one step
    clip_gradient_norm: Positive | None = None
    on_non_finite: Literal["stop", "skip"] = "stop"  # a loss or gradient that is not finite: end, or leave its step out
    max_skipped: Count = 25  # skip: so many steps in a row are left out, one more ends the run
    seed: int = 0
    workers: Annotated[int, Field(ge=0)] = 2  # processes that read and augment; 0: none
    cache: UserPath | None = None  # folder for decoded images (4 bytes a pixel), shared by folds and runs; null: none
    channels_last: bool = True
    compile: bool = False  # the network, by torch.compile: faster after a first minute, where sizes stay the same
    device: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Count = 1  # GPUs (or processes on the CPU), each with its share of every batch
    # overfit: train and validate on the same `debug_images`; fast: a few batches of all. The run's folder says so
    debug: Literal["overfit", "fast"] | None = None
    debug_images: Count = 4
    runs: UserPath = Path("runs")

    @property
    def score(self) -> ScoreName:
        """What predictions are scored with: what is monitored, if that is a score."""
        return "dataset_miou" if self.monitor == "val_cross_entropy" else self.monitor

    @model_validator(mode="after")
    def _combinations_are_possible(self) -> Self:
        if self.schedule.epochs % self.validate_every:
            raise ConflictError(
                f"validate_every {self.validate_every} does not divide schedule.epochs {self.schedule.epochs}: "
                "the last epoch would not be validated",
                "validate_every",
                "schedule.epochs",
            )
        if self.precision == "fp16" and self.device == "cpu":
            raise ConflictError(
                "precision fp16 needs a GPU; on the CPU use fp32 (or bf16, if it has AVX-512 BF16)",
                "precision",
                "device",
            )
        if self.loss.presence > 0 and not self.model.presence_head:
            raise ConflictError(
                "loss.presence is the weight of a head: set model.presence_head too",
                "loss.presence",
                "model.presence_head",
            )
        if self.predictions == "logits" and self.view.predict.kind != "full":
            raise ConflictError(
                f"predictions logits need view.predict.kind full; found {self.view.predict.kind}",
                "predictions",
                "view.predict",
            )
        if self.sampling.class_crops is not None and self.view.train.kind != "crop":
            raise ConflictError(
                f"sampling.class_crops needs view.train.kind crop; found {self.view.train.kind}",
                "sampling.class_crops",
                "view.train",
            )
        return self

    @model_validator(mode="after")
    def _stages_are_possible(self) -> Self:
        if not self.stages:
            return self
        epochs = sum(stage.epochs for stage in self.stages)
        if epochs != self.schedule.epochs:
            raise ConflictError(
                f"stages have {epochs} epochs together, schedule.epochs is {self.schedule.epochs}",
                "stages",
                "schedule.epochs",
            )
        if self.schedule.name == "plateau":
            raise ConflictError(
                "stages: schedule plateau cannot begin anew with each; use another schedule", "stages", "schedule.name"
            )
        views = [stage.train_view for stage in self.stages if stage.train_view is not None]
        if self.sampling.class_crops is not None and any(view.kind != "crop" for view in views):
            raise ConflictError(
                "stages: sampling.class_crops needs train_view.kind crop in all of them",
                "stages",
                "sampling.class_crops",
            )
        for stage in self.stages:
            Schedule.model_validate({**self.schedule.model_dump(), "epochs": stage.epochs})
        return self

    @model_validator(mode="after")
    def _checkpoints_and_devices_are_possible(self) -> Self:
        if self.snapshots and self.schedule.name != "warm_restarts":
            raise ConflictError(
                f"snapshots are of the cycles of schedule warm_restarts; found {self.schedule.name}",
                "snapshots",
                "schedule.name",
            )
        if self.distillation is not None and self.distillation.holistic > 0 and self.devices > 1:
            raise ConflictError(
                "distillation.holistic: the critic learns on one device; use devices 1",
                "distillation.holistic",
                "devices",
            )
        for size in (self.batch_size, *(stage.batch_size for stage in self.stages)):
            if size == "auto" and self.devices > 1:
                raise ConflictError(
                    "batch_size auto is found on one device; with more, give a number", "batch_size", "devices"
                )
            if isinstance(size, int) and size % self.devices:
                raise ConflictError(
                    f"batch_size {size} cannot be divided among {self.devices} devices", "batch_size", "devices"
                )
        return self

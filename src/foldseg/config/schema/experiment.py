"""One recipe for training."""

from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import Field, model_validator

from foldseg.config.schema.base import (
    ConflictError,
    Count,
    Name,
    Positive,
    Seed,
    Settings,
    UserPath,
)
from foldseg.config.schema.data import Data
from foldseg.config.schema.definitions import LOSSES, PRECISIONS, define_architecture
from foldseg.config.schema.distillation import Distillation
from foldseg.config.schema.loss import Loss
from foldseg.config.schema.model import Model
from foldseg.config.schema.names import (
    AugmentName,
    DebugMode,
    DeviceName,
    MonitorName,
    PrecisionName,
    ScoreName,
    StoredForm,
)
from foldseg.config.schema.optimizers import AdamW, Optimizer
from foldseg.config.schema.sampling import CopyPaste, CutMix, Sampling
from foldseg.config.schema.schedules import OneCycle, Schedule
from foldseg.config.schema.stopping import EarlyStopping
from foldseg.config.schema.views import PredictView, TrainView, View
from foldseg.config.schema.weights import Ema, Stage, Swa

_AIMABLE_VIEWS = " or ".join(name for name, kind in TrainView.kinds().items() if kind.can_be_aimed)
_VIEWS_WITH_LOGITS = " or ".join(name for name, kind in PredictView.kinds().items() if kind.has_logits)


class Experiment(Settings):
    """One recipe for training."""

    name: Name
    """Name of the experiment and of its folder of runs. Default: the name of the YAML file."""
    data: Data
    """Which data, and how it is divided."""
    model: Model = Model()
    """The network."""
    view: View
    """What the network sees."""
    augment: AugmentName = "light"
    """Set of random changes to training samples. `foldseg show-batch` draws them."""
    sampling: Sampling = Sampling()
    """Which samples an epoch is made of."""
    cut_mix: CutMix | None = None
    """Replace a rectangle of a sample by that of another one."""
    copy_paste: CopyPaste | None = None
    """Copy regions of rare classes into other samples."""
    loss: Loss = Loss(cross_entropy=1.0)
    """What is minimised."""
    distillation: Distillation | None = None
    """Add terms to the loss that compare with a larger network."""
    optimizer: Optimizer = AdamW()
    """Which optimiser, and its learning rates."""
    schedule: Schedule = OneCycle()
    """How the learning rate moves, and for how many epochs."""
    stages: tuple[Stage, ...] = ()
    """Spans of epochs, each with its own view, batch size and rate. Their epochs add up to schedule.epochs. Empty: a
    single stage."""
    ema: Ema | None = None
    """Keep a moving average of the weights."""
    swa: Swa | None = None
    """Keep the mean of the weights of the last epochs."""
    snapshots: bool = False
    """Keep snapshot_K.ckpt at the end of the K-th cycle of warm_restarts. The first is snapshot_1."""
    top_k: Count | None = None
    """Keep top_EPOCH.ckpt of the K best epochs, and the mean of their weights as average.ckpt."""
    keep_every: Count | None = None
    """Keep epoch_N.ckpt every `keep_every` epochs."""
    train_images: Count | None = None
    """Number of training images, chosen at random by `seed`. Null: all."""
    monitor: MonitorName = "dataset_miou"
    """The number that decides which checkpoint is the best and when training stops. A lower loss is better, and a
    higher score. It may be FILE.py:FUNCTION, a score of your own."""
    validate_every: Count = 1
    """Epochs from one validation to the next. The number must divide schedule.epochs."""
    early_stopping: EarlyStopping | None = EarlyStopping()
    """When to stop before the schedule ends. Null: never."""
    precision: PrecisionName = "fp32"
    """Number format of the computation. bf16 also pays on CPUs with AVX-512 BF16. fp16 needs a GPU."""
    batch_size: Count | Literal["auto"] = 8
    """Samples in a batch of all devices together. auto: the largest power of two that one GPU can train."""
    eval_batch_size: Count = 1
    """Images of the same size that are validated or predicted together."""
    predictions: StoredForm = "probabilities"
    """What prediction stores hold: probabilities in 8 bits, or logits in 16 bits at the size of the network's head.
    Logits need the full view, without test-time augmentation."""
    accumulate: Count = 1
    """Batches whose gradients are averaged into one step."""
    clip_gradient_norm: Positive | None = None
    """Largest norm of the gradient. Null: no limit."""
    on_non_finite: Literal["stop", "skip"] = "stop"
    """What happens when a loss or gradient is not finite: stop the run, or skip the step."""
    max_skipped: Count = 25
    """With `on_non_finite: skip`, the run ends after more than this many skipped steps in a row."""
    seed: Seed = 0
    """Seed of the weights, the samples and the augmentation."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that read and augment samples. 0: none."""
    cache: UserPath | None = None
    """Folder for decoded images, shared by folds and runs: 4 bytes per pixel of an RGB image. Null: decode in every
    epoch."""
    channels_last: bool = True
    """Keep a pixel's channels side by side in memory, which is faster."""
    compile: bool = False
    """Compile the network with torch.compile. Faster after a first minute, where image sizes stay the same."""
    device: DeviceName = "auto"
    """Where the network computes."""
    devices: Count = 1
    """Number of GPUs, or of processes on the CPU. Each has its share of every batch."""
    debug: DebugMode | None = None
    """Debug mode. overfit: train and validate on the same `debug_images`. fast: a few batches of everything. The run's
    folder is named after the mode."""
    debug_images: Count = 4
    """Number of images in debug mode overfit."""
    runs: UserPath = Path("runs")
    """Folder of all runs."""

    @property
    def score(self) -> ScoreName:
        """What predictions are scored with: the monitored score, or the score that a monitored loss states."""
        return LOSSES[self.monitor].score if self.monitor in LOSSES else cast(ScoreName, self.monitor)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.schedule.epochs % self.validate_every:
            raise ConflictError(
                f"validate_every {self.validate_every} does not divide schedule.epochs {self.schedule.epochs}: "
                "the last epoch would not be validated",
                "validate_every",
                "schedule.epochs",
            )
        if PRECISIONS[self.precision].needs_gpu and self.device == "cpu":
            raise ConflictError(
                f"precision {self.precision} needs a GPU; on the CPU use fp32 (or bf16, if it has AVX-512 BF16)",
                "precision",
                "device",
            )
        if self.loss.presence > 0 and not self.model.presence_head:
            raise ConflictError(
                "loss.presence is the weight of a head: set model.presence_head too",
                "loss.presence",
                "model.presence_head",
            )
        if self.predictions == "logits" and not self.view.predict.has_logits:
            raise ConflictError(
                f"predictions logits need view.predict.kind {_VIEWS_WITH_LOGITS}; found {self.view.predict.kind}",
                "predictions",
                "view.predict",
            )
        balance = self.sampling.balance
        if balance is not None and balance.needs_windows and not self.view.train.can_be_aimed:
            raise ConflictError(
                f"sampling.balance {balance.kind} needs view.train.kind {_AIMABLE_VIEWS}; found {self.view.train.kind}",
                "sampling.balance",
                "view.train",
            )
        return self

    @model_validator(mode="after")
    def _check_known_classes(self) -> Self:
        overlapping = self.data.dataset.classes_overlap
        if overlapping is not None:
            self.check_classes(overlapping)
        return self

    def check_classes(self, overlapping: bool) -> None:
        """Raise ConflictError if settings do not go with exclusive classes or, if `overlapping`, with such."""
        self.loss.check_classes(overlapping)
        if not overlapping:
            return
        if define_architecture(self.model.architecture).needs_exclusive_classes:
            raise ConflictError(
                f"model.architecture {self.model.architecture} takes a softmax over classes, and the classes of this "
                "data set overlap; use another architecture",
                "model.architecture",
            )
        if self.distillation is not None:
            raise ConflictError(
                "distillation compares classes of which each pixel has one, and the classes of this data set overlap; "
                "train without it",
                "distillation",
            )

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        if not self.stages:
            return self
        epochs = sum(stage.epochs for stage in self.stages)
        if epochs != self.schedule.epochs:
            raise ConflictError(
                f"stages have {epochs} epochs together, schedule.epochs is {self.schedule.epochs}",
                "stages",
                "schedule.epochs",
            )
        if not self.schedule.can_restart:
            raise ConflictError(
                f"stages: schedule {self.schedule.kind} cannot begin anew with each; use another schedule",
                "stages",
                "schedule.kind",
            )
        views = [stage.train_view for stage in self.stages if stage.train_view is not None]
        balance = self.sampling.balance
        if balance is not None and balance.needs_windows and not all(view.can_be_aimed for view in views):
            raise ConflictError(
                f"stages: sampling.balance {balance.kind} needs train_view.kind {_AIMABLE_VIEWS} in all of them",
                "stages",
                "sampling.balance",
            )
        for stage in self.stages:
            Schedule.parse({**self.schedule.model_dump(), "epochs": stage.epochs})
        return self

    @model_validator(mode="after")
    def _check_checkpoints_and_devices(self) -> Self:
        if self.snapshots and not self.schedule.has_cycles:
            with_snapshots = [name for name, kind in Schedule.kinds().items() if kind.has_cycles]
            raise ConflictError(
                f"snapshots are of the cycles of schedule {' or '.join(with_snapshots)}; found {self.schedule.kind}",
                "snapshots",
                "schedule.kind",
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

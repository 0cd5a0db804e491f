"""One recipe for training."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, ScoreName, Settings
from foldseg.config.schema.data import Data
from foldseg.config.schema.model import Model
from foldseg.config.schema.training import EarlyStopping, Loss, Optimizer, Schedule
from foldseg.config.schema.views import View


class Experiment(Settings):
    """One recipe for training; `name` is that of its YAML file and of its folder of runs."""

    name: str
    data: Data
    model: Model = Model()
    view: View
    augment: Literal["none", "light", "strong"] = "light"
    loss: Loss = Loss(cross_entropy=1.0)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    train_images: Count | None = None  # only so many, drawn by `seed`: for trying things out, or for learning curves
    monitor: ScoreName = "dataset_miou"  # chooses the best checkpoint and stops early
    validate_every: Count = 1  # epochs
    early_stopping: EarlyStopping | None = EarlyStopping()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch_size: Count = 8
    accumulate: Count = 1  # batches whose gradients are averaged into one step
    clip_gradient_norm: Positive | None = None
    seed: int = 0
    workers: Annotated[int, Field(ge=0)] = 2  # processes that read and augment; 0: none
    channels_last: bool = True
    device: Literal["auto", "cpu", "gpu"] = "auto"
    runs: Path = Path("runs")

    @model_validator(mode="after")
    def _combinations_are_possible(self) -> Self:
        if self.schedule.epochs % self.validate_every:
            raise ValueError(
                f"validate_every {self.validate_every} does not divide schedule.epochs {self.schedule.epochs}: "
                "the last epoch would not be validated"
            )
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision fp16 needs a GPU; on the CPU use fp32 (or bf16, which is slower there)")
        return self

"""Members, submission. How members are blended is in `blends`, what is done to the blend in `steps`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import (
    CheckpointName,
    ConflictError,
    Count,
    Name,
    Positive,
    Settings,
    UserPath,
)
from foldseg.config.schema.blends import Blend, MeanBlend
from foldseg.config.schema.names import AnyScoreName
from foldseg.config.schema.step_order import check_order
from foldseg.config.schema.steps import Step
from foldseg.config.schema.submissions import LabelPng, SubmissionKind
from foldseg.config.schema.tta import Tta
from foldseg.config.schema.views import PredictView, view_slug


class Member(Settings):
    """An experiment in an ensemble; its folds are averaged. With several views or checkpoints it is several members."""

    experiment: str
    """Name of an experiment in `runs`."""
    weight: Positive = 1.0
    """Weight of this member in the blend."""
    view: PredictView | None = None
    """View in which it is predicted. Null: the view of its runs."""
    checkpoint: CheckpointName = "best"
    """Checkpoint it is predicted with: best, last, ema, swa, average, soup, snapshot_K, top_EPOCH."""
    tta: Tta | None = None
    """Test-time augmentation of this member. Null: that of the ensemble."""

    @property
    def name(self) -> str:
        """The experiment, and checkpoint, view and TTA if others than usual are given: `unet#swa@full_1~flip`."""
        weights = "" if self.checkpoint == "best" else f"#{self.checkpoint}"
        view = "" if self.view is None else f"@{view_slug(self.view)}"
        return self.experiment + weights + view + ("" if self.tta is None else f"~{self.tta.slug}")


class Ensemble(Settings):
    """Which experiments are blended, what is done to the blend, and what is handed in."""

    name: Name
    """Name of the ensemble and of its folder of submissions. Default: the name of the YAML file."""
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    """The experiments that are blended."""
    folds: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Folds that are used. Null: all folds of the folds file."""
    tta: Tta = Tta()
    """Test-time augmentation of members that do not state their own."""
    labels: Literal["as_trained", "scored"] = "as_trained"
    """as_trained: the classes that the members have learned. scored: the scored ones and background."""
    blend: Blend = MeanBlend()
    """How the members' probabilities become one."""
    steps: tuple[Step, ...] = ()
    """What is done to the blend, in this order."""
    score: AnyScoreName = "dataset_miou"
    """The score that is fitted and reported: a name, or FILE.py:FUNCTION, a score of your own."""
    submission: SubmissionKind = LabelPng()
    """Format of the submission, with its settings."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 2000
    """Resamples from which intervals are computed."""
    workers: Count = 2
    """Processes that blend images."""
    runs: UserPath = Path("runs")
    """Folder of all runs."""
    submissions: UserPath = Path("submissions")
    """Folder of all submissions."""

    @model_validator(mode="after")
    def _combinations_are_possible(self) -> Self:
        names = [member.name for member in self.members]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ConflictError(
                f"members named twice: {', '.join(double)}; use `weight` to count one double", "members"
            )
        check_order(self.steps)
        for step in self.steps:
            step.check_members(len(self.members), self.blend)
        if self.folds is not None and len(set(self.folds)) != len(self.folds):
            raise ConflictError(f"folds {list(self.folds)} name a fold twice", "folds")
        return self

    @property
    def may_overlap(self) -> bool:
        """Whether a pixel may belong to several categories in the end."""
        return any(step.may_overlap for step in self.steps)

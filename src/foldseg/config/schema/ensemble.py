"""Members, steps, submission."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import CheckpointName, Count, Positive, ScoreName, Settings, Weight
from foldseg.config.schema.views import PredictView, view_slug


class Member(Settings):
    """An experiment in an ensemble; its folds are averaged. With several views or checkpoints it is several members."""

    experiment: str
    weight: Positive = 1.0
    view: PredictView | None = None  # in which it is predicted; null: as its runs remember
    checkpoint: CheckpointName = "best"  # or last, ema, swa, average, snapshot_<k>, top_<epoch>: what its runs keep

    @property
    def name(self) -> str:
        """The experiment, and the checkpoint and the view if others than usual are given: `unet#swa@full_1`."""
        weights = "" if self.checkpoint == "best" else f"#{self.checkpoint}"
        return self.experiment + weights + ("" if self.view is None else f"@{view_slug(self.view)}")


class Crf(Settings):
    """Dense CRF (Krähenbühl and Koltun, 2011); the names are those of the paper's kernels."""

    iterations: Count = 5
    smooth_std: Positive = 3.0  # pixels
    smooth_weight: Weight = 3.0
    appearance_std: Positive = 50.0  # pixels
    appearance_colour_std: Positive = 5.0  # of 255
    appearance_weight: Weight = 5.0


class CleanUp(Settings):
    """Removal of small components and holes: they take the class that surrounds them."""

    min_area: Count  # pixels; smaller connected components are relabelled
    classes: tuple[str, ...] | None = None  # only components of these classes; null: of all


class ThresholdStep(Settings):
    """A probability threshold per scored class, fitted on OOF with the ensemble's score."""

    categories: Literal["overlapping", "exclusive"] = "overlapping"  # may a pixel be of several classes?


class Step(Settings):
    """One step after the blend: exactly one of its keys is given."""

    crf: Crf | None = None
    thresholds: ThresholdStep | None = None
    clean_up: CleanUp | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._given) != 1:
            keys = ", ".join(type(self).model_fields)
            raise ValueError(f"a step has exactly one key of {keys} (with its settings, {{}} for defaults)")
        return self

    @property
    def _given(self) -> list[str]:
        return [key for key in type(self).model_fields if getattr(self, key) is not None]

    @property
    def name(self) -> str:
        """The key that is given."""
        return self._given[0]


class Ensemble(Settings):
    """Which experiments are blended, what is done to the blend, and what is handed in."""

    name: str
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    folds: tuple[Annotated[int, Field(ge=0)], ...] | None = None  # null: every fold of the folds file
    tta: tuple[Literal["flip"], ...] = ()
    labels: Literal["as_trained", "scored"] = "as_trained"  # scored: members' classes are merged into those, background
    steps: tuple[Step, ...] = ()
    score: ScoreName = "dataset_miou"
    submission: Literal["signate_json", "label_png"] = "label_png"
    bootstrap_samples: Annotated[int, Field(ge=100)] = 2000
    workers: Count = 2  # processes that blend and post-process
    runs: Path = Path("runs")
    submissions: Path = Path("submissions")

    @model_validator(mode="after")
    def _combinations_are_possible(self) -> Self:
        names = [member.name for member in self.members]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"members named twice: {', '.join(double)}; use `weight` to count one double")
        steps = [step.name for step in self.steps]
        order = [list(Step.model_fields).index(name) for name in steps]
        if order != sorted(order) or steps.count("thresholds") > 1:
            raise ValueError(
                f"steps {', '.join(steps)}: crf works on probabilities, thresholds (once) make categories of them, "
                "clean_up works on those; they come in this order"
            )
        overlap = self.thresholds is not None and self.thresholds.categories == "overlapping"
        if overlap and self.submission != "signate_json":
            raise ValueError(
                f"submission {self.submission} gives every pixel one class: use thresholds: {{categories: exclusive}}"
            )
        if self.folds is not None and len(set(self.folds)) != len(self.folds):
            raise ValueError(f"folds {list(self.folds)} name a fold twice")
        return self

    @property
    def thresholds(self) -> ThresholdStep | None:
        """The settings of the step of that name."""
        return next((step.thresholds for step in self.steps if step.thresholds is not None), None)

"""Every setting of an experiment and of an ensemble: its type, unit, bounds and default.

Sizes are [height, width] in pixels everywhere. Relative paths are relative to the working directory.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Size = tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]]
ScoreName = Literal["dataset_miou", "dataset_miou_scored", "image_mean_iou_present", "pixel_accuracy"]


class Settings(BaseModel):
    """A block of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ToyCity(Settings):
    """The built-in data set: how large, how many, which city."""

    width: Annotated[int, Field(ge=64, le=4096)] = 256
    height: Annotated[int, Field(ge=48, le=4096)] = 160
    train_frames: Annotated[int, Field(ge=4)] = 60
    test_frames: Count = 20
    seed: int = 0


class Data(Settings):
    """Which data, where it lies, how it is divided and which classes are learned."""

    dataset: Literal["camvid", "signate", "toy_city"]
    root: Path
    folds: Path = Field(description="CSV with id, fold, group, stratum; made by scripts/make_folds.py")
    fold_count: Annotated[int, Field(ge=2)] = 5
    fold_splits: tuple[str, ...] = ("train",)  # the official splits whose images are divided into folds
    fold_seed: int = 0
    labels: Literal["all", "scored"] | tuple[str, ...] = "all"  # a list of class names: the rest is background
    toy_city: ToyCity | None = None

    @model_validator(mode="after")
    def _toy_settings_belong_to_toy_city(self) -> Self:
        if self.toy_city is not None and self.dataset != "toy_city":
            raise ValueError(f"`toy_city` settings go with dataset toy_city, not with {self.dataset}")
        return self


class Model(Settings):
    """A segmentation network: decoder, encoder and where the encoder's weights come from."""

    architecture: str = "unet"
    encoder: str = "resnet34"
    encoder_weights: str | None = "imagenet"  # "imagenet" (downloads), a local file, or null
    options: dict[str, Any] = {}  # passed to the architecture: decoder_channels, decoder_attention_type, ...


class FullView(Settings):
    """The whole image, padded to a common multiple of `multiple` and the network's stride."""

    kind: Literal["full"]
    multiple: Count = 1  # pixels


class CropView(Settings):
    """A random window of a randomly scaled image (training only)."""

    kind: Literal["crop"]
    size: Size
    scale: tuple[Positive, Positive] = (1.0, 1.0)  # the image is scaled by a factor from this range

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale [{self.scale[0]}, {self.scale[1]}] should be [low, high]")
        return self


class ResizedView(Settings):
    """The whole image, resized by a factor and padded to a multiple of the network's stride."""

    kind: Literal["resized"]
    factor: Annotated[float, Field(gt=0.0, le=4.0)]


class TilesView(Settings):
    """Overlapping windows (prediction only).

    `mean` averages their probabilities, the middle of a window weighing most; `vote` gives every window that covers a
    pixel one vote for its most probable class, and a class's probability is its share of the votes.
    """

    kind: Literal["tiles"]
    size: Size
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5  # least share of a window; 0: side by side
    merge: Literal["mean", "vote"] = "mean"


TrainView = Annotated[FullView | CropView | ResizedView, Field(discriminator="kind")]
PredictView = Annotated[FullView | ResizedView | TilesView, Field(discriminator="kind")]


def view_slug(view: PredictView) -> str:
    """Return a name of a view and all its settings that is fit for a folder: `tiles_768x768_0.5_vote`."""
    values = view.model_dump().values()
    return "_".join("x".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values)


class View(Settings):
    """What the network sees while it is trained and, chosen independently, when it predicts."""

    train: TrainView
    predict: PredictView


class Loss(Settings):
    """Weights of the terms of the loss; the terms themselves are in `foldseg.losses`."""

    cross_entropy: Weight = 0.0
    dice: Weight = 0.0
    jaccard: Weight = 0.0
    focal: Weight = 0.0
    lovasz: Weight = 0.0
    class_weights: Literal["none", "inverse_log"] | tuple[Weight, ...] = "none"  # of the cross-entropy
    focal_gamma: Weight = 2.0

    def terms(self) -> dict[str, float]:
        """Return the weight of every term that is switched on."""
        names = ("cross_entropy", "dice", "jaccard", "focal", "lovasz")
        return {name: getattr(self, name) for name in names if getattr(self, name) > 0}

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        if not self.terms():
            raise ValueError("all terms are 0: give at least one of cross_entropy, dice, jaccard, focal, lovasz")
        return self


class Optimizer(Settings):
    """Which optimiser; `lr` is the peak rate of the decoder."""

    name: Literal["adamw", "fused_adam"] = "adamw"  # fused_adam: apex.optimizers.FusedAdam, when apex is installed
    lr: Positive = 1e-3
    encoder_lr_scale: Positive = 1.0  # rate of the encoder / rate of the decoder
    weight_decay: Weight = 0.01


class Schedule(Settings):
    """How the learning rate moves, step by step."""

    name: Literal["one_cycle", "constant"] = "one_cycle"
    epochs: Count = 40
    warm_up: Fraction = 0.25  # share of the steps in which a one-cycle schedule rises


class EarlyStopping(Settings):
    """Stop when the validation score has not risen by `min_delta` in `patience` validations."""

    patience: Count = 8
    min_delta: Annotated[float, Field(ge=0.0)] = 0.001


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


class Member(Settings):
    """An experiment in an ensemble; its folds are averaged. With several views it may be several members."""

    experiment: str
    weight: Positive = 1.0
    view: PredictView | None = None  # in which it is predicted; null: as its runs remember

    @property
    def name(self) -> str:
        """The experiment, and the view if one is given."""
        return self.experiment if self.view is None else f"{self.experiment}@{view_slug(self.view)}"


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
        self._thresholds_are_possible()
        if self.folds is not None and len(set(self.folds)) != len(self.folds):
            raise ValueError(f"folds {list(self.folds)} name a fold twice")
        return self

    def _thresholds_are_possible(self) -> None:
        if self.thresholds is None:
            return
        if self.score not in ("dataset_miou_scored", "image_mean_iou_present"):
            raise ValueError(
                f"steps.thresholds fits the scored classes, and score {self.score} is of others, too; "
                "use dataset_miou_scored or image_mean_iou_present"
            )
        if self.thresholds.categories == "overlapping" and self.submission != "signate_json":
            raise ValueError(
                f"submission {self.submission} gives every pixel one class: use thresholds: {{categories: exclusive}}"
            )

    @property
    def thresholds(self) -> ThresholdStep | None:
        """The settings of the step of that name."""
        return next((step.thresholds for step in self.steps if step.thresholds is not None), None)

"""What a network sees."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, Settings, Size


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

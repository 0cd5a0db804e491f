"""What a network sees: each view, and all that other code needs to know about it.

No other code asks for a view by its class. What a view does to pixels follows from what it states here; see
`views/train_samples.py` (training) and `views/geometry.py` (prediction).
"""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Positive, Settings, Size
from foldseg.config.schema.choice import Choice
from foldseg.config.schema.names import TileMergeName, TileWeightName

ImageSize = tuple[int, int]
"""Height and width in pixels."""


def scale_size(size: ImageSize, factor: float) -> ImageSize:
    """Return `size` times `factor`, rounded, at least 1x1."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


class ImageSizes:
    """How a view changes the size of a whole image. The defaults: it is not resized, and padded to the stride."""

    def resized_size(self, size: ImageSize, scale: float = 1.0) -> ImageSize:
        """Return the size to which an image of `size` is resized. `scale` is a further factor of a TTA."""
        return scale_size(size, scale)

    def least_size(self, scale: float = 1.0) -> ImageSize:
        """Return the size to which a resized image is padded at least. `scale` is a further factor of a TTA."""
        return 1, 1

    def side_multiple(self, stride: int) -> int:
        """Return the number of pixels whose multiples the padded sides are, for a network of `stride`."""
        return stride


class TrainView(ImageSizes, Choice):
    """What the network sees in training."""

    can_be_aimed: ClassVar[bool] = False
    """Whether a sample is a window that can be laid around a pixel of a chosen class."""

    @property
    def window(self) -> ImageSize | None:
        """Height and width of the random window that is cut out of an image. None: the whole image."""
        return None

    @property
    def scale_range(self) -> tuple[float, float]:
        """The range [low, high] of the random factor by which an image is scaled, besides its `resized_size`."""
        return 1.0, 1.0


class PredictView(ImageSizes, Choice):
    """What the network sees when it validates and predicts."""

    has_logits: ClassVar[bool] = False
    """Whether an image has one map of logits, which a store can hold instead of probabilities. It has none if it is
    resized or divided into tiles."""

    @property
    def tiles(self) -> "TilesView | None":
        """The windows in which an image is predicted, and how they are merged. None: the whole image at once."""
        return None


class FullView(TrainView, PredictView):
    """The whole image, padded to a common multiple of `multiple` and the network's stride."""

    has_logits = True

    kind: Literal["full"] = "full"
    multiple: Count = 1
    """The padded sides are multiples of this number of pixels, and of the network's stride."""

    def side_multiple(self, stride: int) -> int:
        """Return the least common multiple of `multiple` and `stride`."""
        return math.lcm(stride, self.multiple)


class CropView(TrainView):
    """A random window of a randomly scaled image (training only)."""

    can_be_aimed = True
    mistaken_names: ClassVar = {"factor": "scale"}
    kind: Literal["crop"] = "crop"
    size: Size
    """Size of the window."""
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    """The image is first scaled by a factor from this range, [low, high]."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale [{self.scale[0]}, {self.scale[1]}] should be [low, high]")
        return self

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls(size=(32, 48)),)

    @property
    def window(self) -> ImageSize:
        """Height and width of the random window."""
        return self.size

    @property
    def scale_range(self) -> tuple[float, float]:
        """The range [low, high] from which the image's factor is drawn."""
        return self.scale


class ResizedView(TrainView, PredictView):
    """The whole image, resized by a factor, to one size, or to one long side; then padded to the network's stride.

    Exactly one of `factor`, `size` and `long_side` must be set. With `size` or `long_side` all samples have one size.
    Then images of several sizes can be in one batch.
    """

    mistaken_names: ClassVar = {"scale": "factor"}
    alternatives: ClassVar = ("factor", "size", "long_side")
    kind: Literal["resized"] = "resized"
    factor: Annotated[float, Field(gt=0.0, le=4.0)] | None = None
    """The image is resized by this factor."""
    size: Size | None = None
    """The image is resized to this size. Its proportions change if they are others."""
    long_side: Annotated[int, Field(ge=8)] | None = None
    """The image is resized so that its longer side has this many pixels, then padded to a square."""

    @model_validator(mode="after")
    def _one_way_is_chosen(self) -> Self:
        chosen = {name: value for name in self.alternatives if (value := getattr(self, name)) is not None}
        if len(chosen) != 1:
            found = ", ".join(
                f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in chosen.items()
            )
            raise ValueError(
                f"a resized view needs exactly one of {', '.join(self.alternatives)}; found {found or 'none of them'}"
            )
        return self

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return cls(factor=0.75), cls(size=(40, 56)), cls(long_side=64)

    def resized_size(self, size: ImageSize, scale: float = 1.0) -> ImageSize:
        """Return the size to which an image of `size` is resized. `scale` is a further factor of a TTA."""
        if self.size is not None:
            return scale_size(self.size, scale)
        factor = self.factor if self.long_side is None else self.long_side / max(size)
        assert factor is not None
        return scale_size(size, factor * scale)

    def least_size(self, scale: float = 1.0) -> ImageSize:
        """Return the square of `long_side` to which a resized image is padded. Otherwise no padding is stated."""
        if self.long_side is None:
            return 1, 1
        return scale_size((self.long_side, self.long_side), scale)


class TilesView(PredictView):
    """Tiles side by side or overlapping (prediction only), merged by their weighted mean or by votes.

    `mean` averages the tiles' probabilities. With `vote` every tile that covers a pixel has one vote, for its most
    probable class; a class's probability is its share of the votes.
    """

    alternatives: ClassVar = ("overlap", "stride")
    kind: Literal["tiles"] = "tiles"
    size: Size
    """Size of a tile."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """The least share of a tile that overlaps with the next one. 0: side by side. Default: 0.5."""
    stride: tuple[Count, Count] | None = None
    """Distance from tile to tile in pixels, [down, right]. Use it instead of `overlap`."""
    merge: TileMergeName = "mean"
    """Average the tiles' probabilities, or count their votes."""
    weights: TileWeightName | None = None
    """How much a pixel counts by its place in a tile: the same everywhere, or less towards the border. Null: pyramid
    for mean, constant for vote."""
    border: Literal["shift", "reflect", "replicate"] = "shift"
    """Shift the last tiles back into the image, or pad the image for them."""

    @model_validator(mode="before")
    @classmethod
    def _half_by_default(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("overlap") is None and values.get("stride") is None:
            return {**values, "overlap": 0.5}
        return values

    @model_validator(mode="after")
    def _stride_leaves_no_gap(self) -> Self:
        if self.stride is None:
            return self
        if self.overlap is not None:
            raise ValueError(
                f"stride {list(self.stride)} is given, and overlap {self.overlap}; one of them should be null"
            )
        if self.stride[0] > self.size[0] or self.stride[1] > self.size[1]:
            raise ValueError(f"stride {list(self.stride)} leaves gaps between windows of {list(self.size)}")
        return self

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls(size=(32, 48)),)

    @property
    def tiles(self) -> "TilesView":
        """The view itself."""
        return self


def view_slug(view: PredictView) -> str:
    """Return a name for a folder that says a view and all its settings: `tiles_768x768_0.5_vote`."""
    parts = []
    for value in view.model_dump().values():
        if value in (None, "shift"):
            continue  # the usual settings are left out
        # Sizes and strides have an x, which also distinguishes a stride from an overlap
        parts.append("x".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return "_".join(parts)


class View(Settings):
    """What the network sees while it is trained and, chosen independently, when it predicts."""

    train: TrainView
    """What the network sees in training."""
    predict: PredictView
    """What the network sees when it validates and predicts."""

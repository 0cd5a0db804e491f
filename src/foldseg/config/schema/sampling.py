"""Settings of the samples of an epoch: which ones it has, and how they are mixed with each other."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Fraction, Positive, Settings, UserPath, Weight
from foldseg.config.schema.choice import Choice

ClassRule = Literal["uniform", "inverse_frequency", "inverse_root"]


class Balance(Choice):
    """Which classes the samples of an epoch hold."""

    needs_windows: ClassVar[bool] = False
    """Whether samples have to be windows, which can be laid around a pixel of a class."""


class ClassCrops(Balance):
    """Crops that hold a chosen class. The class is chosen first, then an image that has it, then a pixel of it.

    Zhu et al., 2019 (1812.01593) choose classes `uniform`ly. `inverse_frequency` weighs a class by 1 / (its share of
    pixels), `inverse_root` by the root of that. A mapping gives weights by name.
    """

    needs_windows = True

    kind: Literal["class_crops"] = "class_crops"
    share: Fraction = 0.5
    """Share of an epoch's samples that hold a chosen class. The others are cut anywhere."""
    classes: ClassRule | dict[str, Weight] = "uniform"
    """How the class is chosen: all alike, by 1 / (its share of pixels), by the root of that, or by weights per name."""

    @model_validator(mode="after")
    def _some_class_can_be_chosen(self) -> Self:
        if isinstance(self.classes, dict) and not any(self.classes.values()):
            raise ValueError("classes: give at least one class a weight above 0")
        return self


class PositiveShare(Balance):
    """A share of an epoch's samples holds any of `classes`. The share moves from `start` to `end` over the epochs.

    A positive sample comes from an image that has them, and its crop is laid around a pixel of them. The other samples
    come from images without them.
    """

    kind: Literal["positive"] = "positive"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the classes."""
    start: Fraction = 0.8
    """Share in the first epoch."""
    end: Fraction = 0.4
    """Share in the last epoch."""
    min_pixels: Count = 1
    """An image counts as one that has the classes from this number of their pixels on."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (cls(classes=("car",)),)


class Source(Settings):
    """More images to train on (external, coarse, pseudo-labelled): two folders whose files have the same names
    but for the suffix.

    They are never validated on. `{fold}` in a path is replaced by the fold's number.
    """

    images: UserPath
    """Folder of images."""
    masks: UserPath
    """Folder of masks. `{fold}` in a path is replaced by the fold's number."""
    encoding: Literal["raw", "index"] = "raw"
    """raw: masks as in the data set itself. index: class indices of data.labels, void 255."""
    ratio: Positive = 1.0
    """Samples of this source for each sample of the data set's own images."""


class Sampling(Settings):
    """What is drawn in an epoch. Without any of these, every training image once."""

    samples_per_epoch: Count | None = None
    """Samples in an epoch. Null: one per image, and those of the sources by their ratios."""
    oversample_below: Fraction | None = None
    """Draw images of rare classes more often: if a share f of the images has a class and f is smaller, they are drawn
    sqrt(oversample_below / f) times as often (repeat factor sampling, Gupta et al., 2019, 1908.03195)."""
    balance: Balance | None = None
    """Fix how many samples hold which classes. Null: as it comes."""
    sources: tuple[Source, ...] = ()
    """More images to train on: external, coarse or pseudo-labelled ones."""


class CutMix(Settings):
    """A rectangle of a sample is replaced by the same place of another (Yun et al., 2019; French et al., 2020)."""

    probability: Fraction = 0.5
    """Share of the samples that are mixed."""
    alpha: Positive = 1.0
    """The share of the area that is kept is drawn from Beta(alpha, alpha)."""


class CopyPaste(Settings):
    """Regions of rare classes, copied from other training images to where they may stand.

    CopyBlob of the VIPriors MiniCity solution (bus on road, wall on sidewalk); Ghiasi et al., 2021 (2012.07177).
    """

    probability: Fraction = 0.5
    """Share of the samples that get a region."""
    classes: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    """A class, and the classes that may lie below its lower edge: {bus: [road], wall: [sidewalk]}. With an empty list,
    a region may lie anywhere."""
    min_pixels: Count = 64
    """Smaller regions are not copied."""
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    """A region is scaled by a factor from this range, [low, high]."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale [{self.scale[0]}, {self.scale[1]}] should be [low, high]")
        return self

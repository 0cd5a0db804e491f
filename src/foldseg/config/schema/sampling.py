"""Which samples an epoch is made of, and how they are mixed with each other."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Fraction, Positive, Settings, UserPath, Weight


class ClassCrops(Settings):
    """Crops that hold a chosen class: the class first, then an image that has it, then a pixel of it.

    Zhu et al., 2019 (1812.01593) take `uniform` classes; `inverse_frequency` and `inverse_root` weigh a class by
    1 / (its share of pixels) and by the root of that; a mapping gives weights by name.
    """

    share: Fraction = 0.5  # of an epoch's samples; the others are cut anywhere
    classes: Literal["uniform", "inverse_frequency", "inverse_root"] | dict[str, Weight] = "uniform"

    @model_validator(mode="after")
    def _some_class_can_be_chosen(self) -> Self:
        if isinstance(self.classes, dict) and not any(self.classes.values()):
            raise ValueError("class_crops.classes: give at least one class a weight above 0")
        return self


class PositiveShare(Settings):
    """Share of an epoch's samples that hold any of `classes`; it slides from `start` to `end` over the epochs.

    A positive sample comes from an image that has them, and a crop is laid around a pixel of them; the other samples
    come from images without.
    """

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    start: Fraction = 0.8
    end: Fraction = 0.4
    min_pixels: Count = 1  # an image with fewer pixels of `classes` is none that has them


class Source(Settings):
    """More images to train on (external, coarse, pseudo-labelled): two folders whose files pair by stem.

    They are never validated on. `{fold}` in a path is replaced by the fold's number.
    """

    images: UserPath
    masks: UserPath
    encoding: Literal["raw", "index"] = "raw"  # masks: as in the data set's own, or indices of data.labels, 255 void
    ratio: Positive = 1.0  # samples of it for each sample of the data set's own images


class Sampling(Settings):
    """What is drawn in an epoch. Without any of these, every training image once."""

    samples_per_epoch: Count | None = None  # null: one per image, and those of the sources by their ratios
    # Images of a class that a smaller share f of images has are drawn sqrt(oversample_below / f) times as often:
    # repeat factor sampling, Gupta et al., 2019 (1908.03195)
    oversample_below: Fraction | None = None
    class_crops: ClassCrops | None = None
    positive: PositiveShare | None = None
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _combinations_are_possible(self) -> Self:
        if self.class_crops is not None and self.positive is not None:
            raise ValueError("sampling: class_crops and positive both say which classes a sample holds; choose one")
        return self


class CutMix(Settings):
    """A rectangle of a sample is replaced by the same place of another (Yun et al., 2019; French et al., 2020)."""

    probability: Fraction = 0.5
    alpha: Positive = 1.0  # the kept share of the area is drawn from Beta(alpha, alpha)


class CopyPaste(Settings):
    """Regions of rare classes, copied from other training images to where they may stand.

    CopyBlob of the VIPriors MiniCity solution (bus on road, wall on sidewalk); Ghiasi et al., 2021 (2012.07177).
    """

    probability: Fraction = 0.5
    # A class and those that may lie below its lower edge: {bus: [road], wall: [sidewalk]}
    classes: Annotated[dict[str, Annotated[tuple[str, ...], Field(min_length=1)]], Field(min_length=1)]
    min_pixels: Count = 64  # smaller regions are not copied
    scale: tuple[Positive, Positive] = (1.0, 1.0)  # a region is scaled by a factor from this range

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale [{self.scale[0]}, {self.scale[1]}] should be [low, high]")
        return self

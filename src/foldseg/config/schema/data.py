"""Which data, how it is divided, which classes are learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Count, Settings, UserPath
from foldseg.config.schema.names import DatasetName


class ToyCity(Settings):
    """The built-in data set: how large, how many, which city."""

    width: Annotated[int, Field(ge=64, le=4096)] = 256
    """Width of the frames, in pixels."""
    height: Annotated[int, Field(ge=48, le=4096)] = 160
    """Height of the frames, in pixels."""
    train_frames: Annotated[int, Field(ge=4)] = 60
    """Number of training frames."""
    test_frames: Count = 20
    """Number of test frames."""
    seed: int = 0
    """Another seed gives another city."""


WhiteLevel = Annotated[int, Field(ge=255, le=65535)]


class Pictures(Settings):
    """How picture files are read where the file alone does not decide it."""

    orientation: Annotated[
        Literal["upright", "stored"],
        Field(
            description="upright: images and masks are turned as their EXIF says, as viewers and annotation tools show "
            "them; stored: they are not turned, for masks that were drawn on the stored pixels"
        ),
    ] = "upright"
    white_level: Annotated[
        WhiteLevel | None,
        Field(
            description="value of white in 16-bit images, e.g. 4095 for 12 bits; null: 65535, and an image that would "
            "be nearly black is refused"
        ),
    ] = None

    @property
    def upright(self) -> bool:
        """Whether pictures are turned as their EXIF says."""
        return self.orientation == "upright"


class Data(Settings):
    """Which data, where it lies, how it is divided and which classes are learned."""

    dataset: DatasetName
    """Which layout and classes: see the reference of data sets."""
    root: UserPath
    """Folder of the data, in the layout that belongs to `dataset`."""
    folds: UserPath
    """CSV with id, fold, group, stratum. `foldseg folds` makes it."""
    fold_count: Annotated[int, Field(ge=2)] = 5
    """Number of folds that `foldseg folds` makes."""
    fold_splits: tuple[str, ...] = ("train",)
    """Official splits whose images are divided into folds."""
    fold_seed: int = 0
    """Seed of the division into folds."""
    labels: Literal["all", "scored"] | tuple[str, ...] = "all"
    """Classes that are learned: all, the scored ones, or a list of names. All other classes become `background`."""
    pictures: Pictures = Pictures()
    """How picture files are read where the file alone does not decide it."""
    toy_city: ToyCity | None = None
    """Size of the toy city that is built. Only for dataset toy_city."""

    @model_validator(mode="after")
    def _toy_settings_belong_to_toy_city(self) -> Self:
        if self.toy_city is not None and self.dataset != "toy_city":
            raise ValueError(f"`toy_city` settings go with dataset toy_city, not with {self.dataset}")
        return self

"""Which data set: a class per kind. How its files are found and what its classes are is in `foldseg.data.datasets`."""

from typing import Annotated, Literal

from pydantic import Field

from foldseg.config.schema.base import Count, Seed
from foldseg.config.schema.choice import Choice


class DatasetKind(Choice):
    """Which data set: the layout of the folder `data.root`, and the classes."""

    @property
    def draws_masks(self) -> bool:
        """Whether masks are drawn by foldseg, so that `data.pictures` says nothing of how these files are read."""
        return False

    @property
    def classes_overlap(self) -> bool | None:
        """Whether a pixel may be of several classes, or of none. None if only the files of the data set tell it."""
        return False

    def only_test(self) -> "DatasetKind":
        """Return settings that find the test images alone, where there may be no others. Default: these settings."""
        return self


class CamVid(DatasetKind):
    """CamVid in the layout of the SegNet tutorial, with 11 classes."""

    kind: Literal["camvid"] = "camvid"


class Signate(DatasetKind):
    """The AI Edge Contest 1 of SIGNATE, with 20 classes, 4 of which are scored."""

    kind: Literal["signate"] = "signate"


class ToyCity(DatasetKind):
    """The built-in city, in the layout of `signate`. It is drawn when `data.root` does not exist.

    A city that is there must have the width, height, frames and seed that are set. What is null is not checked.
    """

    kind: Literal["toy_city"] = "toy_city"
    width: Annotated[int, Field(ge=64, le=4096)] | None = None
    """Width of the frames, in pixels. null: 256 are drawn."""
    height: Annotated[int, Field(ge=48, le=4096)] | None = None
    """Height of the frames, in pixels. null: 160 are drawn."""
    train_frames: Annotated[int, Field(ge=4)] | None = None
    """Number of training frames. null: 60 are drawn."""
    test_frames: Count | None = None
    """Number of test frames. null: 20 are drawn."""
    seed: Seed | None = None
    """Another seed gives another city. null: 0."""

"""Settings of the data: which data set, how it is divided into folds, which classes are learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import ConflictError, Seed, Settings, UserPath
from foldseg.config.schema.datasets import DatasetKind
from foldseg.config.schema.division import CrossValidation, Division, Grouping, Strata
from foldseg.config.schema.own_data import Folders as Folders
from foldseg.config.schema.own_data import Table as Table

Range = tuple[float, float]
WhiteLevel = Annotated[int, Field(ge=255, le=65535)]


class Pictures(Settings):
    """How picture files are read if the file alone does not decide it."""

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
    channels: Annotated[
        int,
        Field(
            ge=1, le=16, description="number of channels of the images that the network takes; 3: red, green and blue"
        ),
    ] = 3
    value_range: Annotated[
        Range | tuple[Range, ...] | None,
        Field(
            description="[LOW, HIGH]: the numbers that become black and white, in NPY and DICOM files and in pictures "
            "of more than 8 bits; or a list of such pairs, one for each channel"
        ),
    ] = None

    mask_threshold: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Masks of ids are read as black and white: 255 from this value on, 0 below. For masks with grey edges, and for
    JPEGs. Null: ids are taken as they are."""
    nearest_color: Annotated[float, Field(gt=0, le=442)] | None = None
    """Largest distance in RGB at which a colour in a mask is taken for the nearest colour of a class. For masks with
    mixed edges, and for JPEGs. Null: unknown colours are refused."""
    resize_masks: bool = False
    """Whether masks of another size than their image are resized to it (nearest neighbour). Otherwise they are
    refused."""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.value_range is None:
            return self
        if self.white_level is not None:
            raise ConflictError("white_level and value_range exclude each other", "white_level", "value_range")
        for low, high in self.ranges:
            if low >= high:
                raise ConflictError(f"value_range [{low:g}, {high:g}] should be [low, high]", "value_range")
        if len(self.ranges) not in (1, self.channels):
            raise ConflictError(
                f"value_range has {len(self.ranges)} pairs, and channels is {self.channels}; give one pair or "
                f"{self.channels}",
                "value_range",
                "channels",
            )
        return self

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """The pairs of `value_range`: one for all channels, or one for each."""
        if self.value_range is None:
            return ()
        pairs = [pair for pair in self.value_range if isinstance(pair, tuple)]
        if pairs:
            return tuple(pairs)
        low, high = self.value_range
        assert isinstance(low, float) and isinstance(high, float)
        return ((low, high),)

    @property
    def of_images(self) -> "Pictures":
        """What of these settings holds for images that belong to no data set: they are read upright."""
        return Pictures(channels=self.channels, value_range=self.value_range, white_level=self.white_level)

    @property
    def upright(self) -> bool:
        """Whether pictures are turned as their EXIF says."""
        return self.orientation == "upright"


class Data(Settings):
    """Which data, where it lies, how it is divided and which classes are learned."""

    dataset: DatasetKind
    """Which data set: the layout of `root`, and the classes."""
    root: UserPath
    """Folder of the data, in the layout of `dataset`."""
    folds: UserPath
    """CSV with id, fold, group, stratum. `foldseg folds` makes it."""
    fold_count: Annotated[int, Field(ge=2)] = 5
    """Number of folds that `foldseg folds` makes."""
    fold_splits: tuple[str, ...] = ("train",)
    """Official splits whose images are divided into folds."""
    fold_seed: Seed = 0
    """Seed of the division into folds."""
    division: Division = CrossValidation()
    """Which images are validated on."""
    groups: Grouping | None = None
    """Which images are a group. Null: as the data set says."""
    strata: Strata | None = None
    """What folds balance. Null: as the data set says."""
    exclude: UserPath | None = None
    """CSV with id, and optionally reason, of images that are neither trained on nor predicted. Null: none."""
    labels: Literal["all", "scored", "categories"] | tuple[str, ...] | dict[str, tuple[str, ...]] = "all"
    """Classes that are learned: all, the scored ones, a list of names, or a mapping from new names to the classes that
    are merged: `{vehicle: [car, bus]}`. categories: the classes of each category are merged. All other classes become
    `background`."""
    pictures: Pictures = Pictures()
    """How picture files are read if the file alone does not decide it."""

    def __hash__(self) -> int:
        """Hash the settings, which may hold mappings."""
        return hash(self.model_dump_json())

    def only_test(self) -> Self:
        """Return settings that find the test images where there may be nothing else, e.g. a contest's hidden test set.

        All of them are found: files that name groups, strata or images to exclude are not read.
        """
        update = {"dataset": self.dataset.only_test(), "groups": None, "strata": None, "exclude": None}
        return self.model_copy(update=update)

    def list_divided_splits(self) -> list[str]:
        """Return the splits that are trained or validated on."""
        return list(dict.fromkeys([*self.fold_splits, *self.division.validation_splits]))

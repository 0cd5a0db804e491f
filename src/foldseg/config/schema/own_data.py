"""Data sets that the configuration describes: what their classes are, and where their files lie."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from foldseg.config.class_files import read_class_file
from foldseg.config.schema.base import Settings, UserPath
from foldseg.config.schema.data_classes import Classes, Color, RawId, RawIds, make_list
from foldseg.config.schema.datasets import DatasetKind
from foldseg.errors import FoldsegError
from foldseg.files import user_path

Patterns = Annotated[tuple[str, ...], BeforeValidator(make_list), Field(min_length=1)]
"""One pattern or several. See `Folders`."""


def _list_meanings(entry: Any, key: str) -> list[Any]:
    """Return the ids, or the color, of an entry of a class file."""
    return [entry[key]] if key == "color" and key in entry else list(entry.get(key, ()))


def _keep_meaning(entry: Any, key: str) -> dict[str, Any]:
    """Return an entry of a class file without its ids, if masks hold colours."""
    dropped = ("void", "ids") if key == "color" else ("void",)
    return {name: value for name, value in entry.items() if name not in dropped}


class OwnData(DatasetKind):
    """Data that the configuration describes."""

    mistaken_names: ClassVar = {"labels": "classes", "class_names": "classes", "ignore_index": "void"}
    classes: Classes
    """The classes, in order: a list of names, a mapping from names to ids or colours, or a list of mappings. Or the
    path of a tool's own file (labelmap.txt, _classes.csv, ...). If exclusive masks are drawn class by class, pixels of
    none are of the class `background`, which is put first if it is not there."""
    void: Annotated[tuple[RawId | Color, ...], BeforeValidator(make_list)] = ()
    """Ids, or colours, of pixels that are neither trained on nor scored."""
    overlapping: bool = False
    """Whether a pixel may be of several classes, or of none. The network then has a sigmoid for each class."""
    mask_values: Literal["ids", "colors", "bits"] = "ids"
    """What the pixels of masks are: ids (of a palette PNG, its index), colours, or class bits: bit 0 is set where the
    first class is, bit 1 where the second one is (only if classes overlap)."""
    id: Annotated[str, Field(pattern=r"\{[A-Za-z_]\w*\}")] = "{id}"
    """How the id of an image is made from the fields of its pattern: `{day}_{slice}`."""
    background: RawIds = ()
    """Ids of pixels of no class, if classes overlap. Empty: 0."""
    drawn_masks: UserPath | None = None
    """Folder for the masks that are drawn once, because the data has no mask file for each image. Null: the folder
    `drawn_masks` in `data.root`."""

    @property
    def classes_overlap(self) -> bool | None:
        """Whether a pixel may be of several classes, or of none."""
        return self.overlapping

    @property
    def draws_masks(self) -> bool:
        """Whether masks are drawn from what the data has for each class, instead of read as they are."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _read_class_file(cls, values: Any) -> Any:
        """Put in the classes, and void, of a tool's own file, so that finished runs do not depend on it."""
        if not isinstance(values, dict) or not isinstance(values.get("classes"), str):
            return values
        try:
            entries = read_class_file(user_path(Path(values["classes"])))
        except FoldsegError as error:
            raise ValueError(str(error)) from None
        key = "color" if values.get("mask_values") == "colors" else "ids"
        void = [meaning for entry in entries if entry.get("void") for meaning in _list_meanings(entry, key)]
        classes = [_keep_meaning(entry, key) for entry in entries if not entry.get("void")]
        return {"void": void, **values, "classes": classes}

    @model_validator(mode="after")
    def _classes_have_meanings(self) -> Self:
        names = [entry.name for entry in self.classes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"classes: {', '.join(repeated)} is there twice")
        if self.mask_values == "colors":
            without = [entry.name for entry in self.classes if entry.color is None]
            if without:
                raise ValueError(f"classes: masks hold colours, and {', '.join(without)} has no color")
        if self.mask_values == "bits" and not self.overlapping:
            raise ValueError("mask_values: class bits are for classes that overlap; set overlapping")
        if self.mask_values == "colors" and self.overlapping:
            raise ValueError("mask_values: a colour stands for one class; classes that overlap need ids, bits or runs")
        kinds = {type(value) for value in self.void}
        wrong = int if self.mask_values == "colors" else tuple
        if wrong in kinds:
            raise ValueError(f"void: masks hold {self.mask_values}, so void is a list of {self.mask_values}")
        return self


class SplitFiles(Settings):
    """The files of one split."""

    images: Patterns
    """Patterns of the images below `data.root`: `images/{id}.jpg`."""
    masks: Annotated[tuple[str, ...], BeforeValidator(make_list)] = ()
    """Patterns of their masks: `masks/{id}.png`. Several masks of an image are drawn into one. Empty: no masks."""
    list: str | None = None
    """A file below `data.root` with a line for each image of this split: its id, or its path. Null: all images."""


def _expand_splits(value: Any) -> Any:
    """Return the splits with the mappings that bare patterns stand for: images without masks."""
    if not isinstance(value, dict):
        return value
    return {name: {"images": files} if isinstance(files, str | list) else files for name, files in value.items()}


class Folders(OwnData):
    """Images and masks in folders, found by patterns.

    In a pattern, `{id}` stands for the id of an image, also with folders in it, and `*` for anything within a name.
    `{class}` stands for the `label` of a class whose mask the file is; `{part}` for what differs between files that
    are parts of one mask, such as one file per object. `{group}` and `{stratum}` name the group and the stratum of an
    image. Any other name in braces stands for anything within a name, and may be a part of `id`. The case of a suffix
    does not matter.
    """

    kind: Literal["folders"] = "folders"
    splits: Annotated[dict[str, SplitFiles], BeforeValidator(_expand_splits), Field(min_length=1)]
    """Split -> its files. `train` is divided into folds, `test` is predicted for the submission."""
    unmasked: Literal["refuse", "leave_out", "background", "test"] = "refuse"
    """What is done with images that should have a mask and have none. background: all their pixels are of the first
    class (of none, if classes overlap). test: they are of the split test."""

    def __hash__(self) -> int:
        """Hash the settings, whose splits are a mapping."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _parts_have_a_class(self) -> Self:
        patterns = [pattern for files in self.splits.values() for pattern in files.masks]
        names = [entry.name for entry in self.classes if entry.name.lower() != "background"]
        if any("{part}" in text and "{class}" not in text for text in patterns) and len(names) != 1:
            raise ValueError(
                f"splits: a mask pattern has {{part}} and no {{class}}, so its files are of one class; there are "
                f"{', '.join(names)}"
            )
        return self

    def only_test(self) -> "Folders":
        """Return the settings of the split `test` without masks, or these settings if there is no such split."""
        if "test" not in self.splits:
            return self
        files = self.splits["test"].model_copy(update={"masks": ()})
        return self.model_copy(update={"splits": {"test": files}})

    @property
    def draws_masks(self) -> bool:
        """Whether a mask file is of one class, or of a part of one."""
        patterns = [pattern for files in self.splits.values() for pattern in files.masks]
        return any("{class}" in pattern or "{part}" in pattern for pattern in patterns)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        train = {"images": "images/{id}.png", "masks": "masks/{id}.png"}
        files: dict[str, Any] = {"train": train, "test": "test/{id}.png"}
        classes: list[Any] = [{"name": "background", "scored": False}, "salt"]
        return (
            cls.model_validate({"classes": classes, "splits": {"train": train}}),
            cls.model_validate({"classes": {"salt": 255, "rock": 128}, "splits": files, "overlapping": True}),
        )


class Columns(Settings):
    """Which column of a table holds what. Null: the column of the same name, if there is one."""

    id: str | None = None
    """Id of the image. Its name may have a suffix of a picture (`a.jpg`)."""
    id_and_label: str | None = None
    """Id of the image and label of the class in one, with an underscore between: `a.jpg_Fish`. The last one divides."""
    label: str | None = None
    """Label of the class that the row's mask is of. Without it, a mask from run lengths is of the only class."""
    image: str | None = None
    """Path of the image below `data.root`."""
    mask: str | None = None
    """Path of the mask below `data.root`."""
    runs: str | None = None
    """The mask as run lengths."""
    split: str | None = None
    """Split of the image. Without it, all images are of `train`."""
    group: str | None = None
    """Group of the image. Without it, each image is a group."""
    stratum: str | None = None
    """Stratum of the image. Without it, there is one."""


class RunLengths(Settings):
    """How run lengths are written."""

    form: Literal["pairs", "coco"] = "pairs"
    """pairs: `start length start length`. coco: COCO's counts, a list of numbers or a compressed text."""
    direction: Literal["down", "rows"] = "down"
    """Whether pixels are counted down the columns, or along the rows."""
    base: Literal[0, 1] = 1
    """Number of the first pixel."""
    relative: bool = False
    """Whether a start is the distance from the end of the segment before."""


class Table(OwnData):
    """Images in a CSV or Parquet file, a row each, or a row for each mask. Masks are files, or run lengths.

    Several masks of one image and class are one. Images without a row of run lengths have an empty mask.
    """

    kind: Literal["table"] = "table"
    file: Annotated[str, Field(min_length=1)]
    """The table, below `data.root`. Separators are found; values are taken as text."""
    columns: Columns = Columns()
    """Which column holds what."""
    images: Annotated[tuple[str, ...], BeforeValidator(make_list)] = ()
    """Patterns of the images (`train/{id}.jpg`), if the table has no column with their paths."""
    test_images: Annotated[tuple[str, ...], BeforeValidator(make_list)] = ()
    """Patterns of the images of the split `test`, if they are not in the table."""
    run_lengths: RunLengths = RunLengths()
    """How run lengths are written."""

    def only_test(self) -> OwnData:
        """Return the settings of the test images by their patterns, or these settings if the table has them."""
        if not self.test_images:
            return self
        shared = {name: getattr(self, name) for name in OwnData.model_fields if name != "kind"}
        return Folders(**shared, splits={"test": SplitFiles(images=self.test_images)})

    @property
    def draws_masks(self) -> bool:
        """Whether masks are run lengths."""
        return self.columns.runs is not None

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return settings that the contract tests try."""
        return (
            cls.model_validate({"file": "samples.csv", "classes": ["background", "salt"]}),
            cls.model_validate(
                {
                    "file": "train.csv",
                    "classes": ["Fish", "Flower"],
                    "overlapping": True,
                    "images": "train/{id}.jpg",
                    "columns": {"id_and_label": "Image_Label", "runs": "EncodedPixels"},
                }
            ),
        )

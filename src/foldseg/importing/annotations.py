"""What a format's reader returns: the classes and images of a source, and how each image is annotated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from foldseg.config.class_files import ClassEntry, is_void_name
from foldseg.errors import FoldsegError
from foldseg.importing.draw import MOST_BITS
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Shape, Size

Colour = tuple[int, int, int]
MOST_CLASSES = 254
BACKGROUND_NAMES = ("background", "_background_")

TRAIN, UNLABELLED = "train", "unlabelled"
_SPLITS = {
    "": TRAIN, "default": TRAIN, "train": TRAIN, "training": TRAIN, "trn": TRAIN,
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""A publisher's name of a split, in small letters -> ours. Other names stay as they are."""


@dataclass(frozen=True)
class ImportSettings:
    """What the user says of a source."""

    images: Path | None = None
    """Folder of the images, if they do not lie beside the annotations."""
    classes: Path | None = None
    """A class file, for layouts that name no classes; see `foldseg.config.class_files`."""
    overlapping: bool = False
    """Whether drawn classes may overlap: the masks then hold a bit for each class."""
    unlabelled: Literal["background", "void"] = "background"
    """What pixels without a shape are."""
    line_width: int | None = None
    """Width of all lines, in pixels. None: lines are as wide as the tool draws them, or left out."""
    reduce_zero_label: bool = False
    """Whether 0 is void in id masks, as MMSegmentation's setting of that name says."""


@dataclass(frozen=True)
class SourceClass:
    """A class of a source. `ids` are its values in id masks; drawn classes have none yet."""

    name: str
    colour: Colour | None = None
    ids: tuple[int, ...] = ()
    scored: bool = True
    label: str = ""
    """What shapes call it, if that is not its name."""

    @staticmethod
    def of(entry: ClassEntry) -> "SourceClass":
        """Return the class of an entry of a class file."""
        colour = entry.get("color")
        return SourceClass(
            entry["name"],
            (colour[0], colour[1], colour[2]) if colour else None,
            tuple(entry.get("ids", ())),
            entry.get("scored", True),
        )

    @property
    def is_background(self) -> bool:
        """Whether it is what pixels without any class are."""
        return self.name.lower() in BACKGROUND_NAMES

    @property
    def is_void(self) -> bool:
        """Whether its pixels count for nothing."""
        return is_void_name(self.name)


@dataclass(frozen=True)
class AnnotatedImage:
    """An image of a source. It has shapes, or a mask, or neither if nobody has annotated it."""

    name: str
    """The image's path as the source calls it, e.g. `train/a.jpg`. Its id is made from it."""
    entry: str
    """Where it is in the source, for messages: `coco.json: image 17`."""
    file: Path | None
    """The image file, or None if it was not found."""
    split: str = TRAIN
    size: Size | None = None
    """Height and width, as the source says."""
    read_shapes: Callable[[], Sequence[Shape]] | None = None
    """Returns the shapes in the order in which they are painted. Called once, in any thread."""
    mask: Path | None = None
    """A mask that is ready."""
    read_content: Callable[[], bytes] | None = None
    """Returns the image file's content if the annotations hold the only copy of it."""
    channels: tuple[Path, ...] = ()
    """The files of its channels, if it has one file for each."""
    group: str = ""
    """Images of the same group must stay together. "": it is a group of its own."""

    @property
    def is_annotated(self) -> bool:
        """Whether a mask can be made for it. An image with no shapes in it is annotated; all of it is background."""
        return self.read_shapes is not None or self.mask is not None


MaskKind = Literal["shapes", "ids", "colours"]
"""What annotations are: shapes, masks of ids (which are not drawn anew), or masks of colours."""


@dataclass(frozen=True)
class Annotations:
    """All that a reader finds in a source."""

    classes: Sequence[SourceClass]
    """In their order. Those of drawn annotations need not name the background."""
    images: Sequence[AnnotatedImage]
    kind: MaskKind = "shapes"
    void_ids: tuple[int, ...] = ()
    """Values of id masks that count for nothing."""
    overlapping: bool = False
    """Whether id masks have values of several classes."""
    background_ids: tuple[int, ...] = ()
    """Values of id masks that belong to no class, if classes overlap."""
    coco_rule: bool = False
    """Whether polygons are drawn by COCO's own rule."""
    unused_files: Sequence[Path] = field(default=())
    """Image files beside the annotations that these do not name."""


@dataclass(frozen=True)
class AnnotationFormat:
    """A format that can be imported."""

    name: str
    """Its name on the command line."""
    sign: str
    """How a source is recognised, in words."""
    recognises: Callable[[Path], bool]
    """Returns whether a folder or file is a source of this format. It reads little."""
    read: Callable[[Path, ImportSettings, Remarks], Annotations]
    """Reads a source. FoldsegError names file and entry of what is wrong."""


def normalise_split(name: str) -> str:
    """Return `train`, `val` or `test` for a publisher's name of these, e.g. `valid`; other names as they are."""
    return _SPLITS.get(name.strip().lower(), name.strip())


def check_drawn_classes(source: Path, classes: Sequence[SourceClass], overlapping: bool) -> list[SourceClass]:
    """Return the classes with the background first. FoldsegError if masks cannot hold that many, or a name is doubled.

    Overlapping classes need no background: where no bit is set there is none.
    """
    names = [item.name for item in classes]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise FoldsegError(f"{source}: has the class {repeated[0]!r} twice")
    background = [replace(item, name="background") for item in classes if item.is_background]
    others = [item for item in classes if not item.is_background and not item.is_void]
    most = MOST_BITS if overlapping else MOST_CLASSES
    if not others:
        raise FoldsegError(f"{source}: names no class besides the background")
    if len(others) > most - (not overlapping):
        kind = "overlapping classes" if overlapping else "classes besides the background"
        raise FoldsegError(f"{source}: has {len(others)} classes; a mask can hold {most - (not overlapping)} {kind}")
    if overlapping:
        return others
    return [*(background[:1] or [SourceClass("background", (0, 0, 0))]), *others]

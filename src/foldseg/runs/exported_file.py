"""An exported file, x.onnx, and what it says of itself: JSON under the key `foldseg` of its metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from foldseg.config.schema import Pictures, PredictView, Settings, Size
from foldseg.data.labels import LARGEST_ID, LabelClass, LabelSet
from foldseg.errors import FoldsegError

KEY = "foldseg"
INPUT, OUTPUT = "images", "probabilities"

Byte = Annotated[int, Field(ge=0, le=255)]
RawId = Annotated[int, Field(ge=0, le=LARGEST_ID)]


@dataclass(frozen=True)
class ExportedFile:
    """The path of an exported file; `foldseg.deploy.exported_source` opens it."""

    path: Path


class ClassFacts(Settings):
    """A class, in order of the output's channels; see `foldseg.data.labels.LabelClass`."""

    name: str
    colour: tuple[Byte, Byte, Byte]  # RGB
    raw_ids: tuple[RawId, ...]
    scored: bool
    is_merged: bool = False
    category: str = ""


class ExportFacts(Settings):
    """All that is needed to predict with an exported network, and where it comes from."""

    foldseg: str  # version that exported it
    run: str  # <experiment>/fold_<k>
    checkpoint: str
    weights: str  # SHA-256 of the checkpoint's file
    dataset: str
    classes: tuple[ClassFacts, ...]
    void_ids: tuple[RawId, ...]
    overlapping: bool = False  # then probabilities are sigmoids, and do not sum to 1
    background_ids: tuple[RawId, ...] = ()
    stride: Annotated[int, Field(ge=1, le=4096)]  # what must divide the sides of an input, pixels
    size: Size | None  # the one size (height, width) of an input; null: any
    view: PredictView
    pictures: Pictures = Pictures()  # how pictures are read: channels, and what their numbers mean

    @property
    def labels(self) -> LabelSet:
        """The classes, and the raw ids that masks are written in."""
        return LabelSet(
            tuple(LabelClass(**c.model_dump()) for c in self.classes),
            self.void_ids,
            overlapping=self.overlapping,
            background_ids=self.background_ids,
        )


def class_facts(labels: LabelSet) -> tuple[ClassFacts, ...]:
    """Return the classes of a label set as an exported file has them."""
    names = ClassFacts.model_fields
    return tuple(ClassFacts(**{name: getattr(label, name) for name in names}) for label in labels.classes)


def read_facts(text: str, path: Path) -> ExportFacts:
    """Parse the facts of the exported file `path`; FoldsegError names what is wrong with them."""
    try:
        facts = ExportFacts.model_validate_json(text)
        _ = facts.labels  # ValueError for classes that cannot be a label set
        return facts
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise FoldsegError(
            f"{path}: its metadata {KEY!r} is not what this version reads: {key}: {first['msg']}"
        ) from None
    except ValueError as error:
        raise FoldsegError(f"{path}: its metadata {KEY!r} are damaged: {error}") from None

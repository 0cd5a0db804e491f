"""What the rows of a contest's CSV are of: which column holds what, and which image and class a row names."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foldseg.config.schema.submissions import RunLength
from foldseg.data.labels import LabelSet
from foldseg.data.own_ids import drop_picture_suffix, make_safe_id
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.submission.class_masks import choose_classes
from foldseg.submission.csv_cells import CsvCells, cell_value

ID_NAMES = ("id", "imageid", "image_id", "img", "image", "record_id", "imageid_classid", "image_label")
RUN_NAMES = (
    "rle", "rle_mask", "encodedpixels", "encoded_pixels", "encoding", "segmentation", "pixels", "predicted", "runs",
)  # fmt: skip
CLASS_NAMES = ("class", "classid", "class_id", "label")
"""Usual names of columns, in small letters."""


@dataclass(frozen=True)
class Columns:
    """The places of the columns that matter."""

    id: int
    runs: int
    class_name: int | None = None
    """None if the rows have no class, or the id holds it."""


def find_columns(header: Sequence[str], names: Sequence[str] | None, path: Path) -> Columns:
    """Return where the columns are: those with the given names, or else those with usual names.

    `names`: [id, runs] or [id, class, runs]. A header of two columns is taken as id and runs. FoldsegError if a column
    is not there.
    """
    values = [cell_value(cell) for cell in header]
    if repeated := [value for value in values if value and values.count(value) > 1]:
        raise FoldsegError(f"{path}: has the column {repeated[0]} twice")
    if names is not None:
        missing = [name for name in names if name.strip() not in values]
        if missing:
            raise FoldsegError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(values)}")
        places = [values.index(name.strip()) for name in names]
        return Columns(places[0], places[-1], places[1] if len(places) == 3 else None)
    small = [value.lower() for value in values]
    place_of_id, place_of_runs = _find_first(small, ID_NAMES), _find_first(small, RUN_NAMES)
    if len(small) == 2:
        return Columns(0, 1) if place_of_id is None or place_of_runs is None else Columns(place_of_id, place_of_runs)
    if place_of_id is None or place_of_runs is None:
        raise FoldsegError(
            f"{path}: which of its columns {', '.join(values)} holds ids, and which runs? Say it with "
            "submission.columns=[id, runs] or [id, class, runs]"
        )
    return Columns(place_of_id, place_of_runs, _find_first(small, CLASS_NAMES))


def _find_first(header: list[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def list_contest_classes(settings: RunLength, labels: LabelSet) -> dict[str, int]:
    """Return the contest's name of each class that is written -> its index here."""
    if settings.classes is None:
        classes = labels.classes
        return {classes[index].label or classes[index].name: index for index in choose_classes(labels)}
    indices = choose_classes(labels, list(settings.classes.values()))
    return dict(zip(settings.classes, indices, strict=True))


class ImageNames:
    """Finds the image that an id of a contest names: by our id, or by the name of the image's file."""

    def __init__(self, ids: Collection[str], files: Mapping[str, Path]) -> None:
        self._ids = set(ids)
        self._by_name: dict[str, str] = {}
        for name in ids:
            file = files.get(name)
            for alias in (file.name, file.stem) if file is not None else ():
                # What two images share names none of them
                self._by_name[alias] = "" if self._by_name.get(alias, name) != name else name

    @property
    def are_known(self) -> bool:
        """Whether there are images to be found."""
        return bool(self._ids)

    def find(self, text: str) -> str | None:
        """Return the id of an image. None if there is no such image, or more than one."""
        for name in (text, drop_picture_suffix(text)):
            for our_name in (name, make_safe_id(name)):
                if our_name in self._ids:
                    return our_name
            if self._by_name.get(name):
                return self._by_name[name]
        return None


@dataclass(frozen=True)
class Rows:
    """What each row of a CSV is of."""

    images: list[str]
    """Our id of the image; where no image is known by the name in the file, that name."""
    classes: list[int]
    """Index of the class."""
    unknown: list[str]
    """Names in the file that are of no known image. Empty if no images are known."""
    have_classes: bool
    """Whether rows name their class."""


def match_rows(
    cells: CsvCells, columns: Columns, contest_classes: Mapping[str, int], names: ImageNames, path: Path
) -> Rows:
    """Return the image and the class of each row.

    A class is in its own column, or behind the last underscore of the id: `0002cc93b.jpg_1`. FoldsegError for a class
    that is unknown, and if rows name no class while there are several.
    """
    ids = cells.values(columns.id)
    if columns.class_name is not None:
        texts = cells.values(columns.class_name)
        return _match(ids, texts, _numbered(contest_classes, texts), names, path)
    parts = [text.rpartition("_") for text in ids]
    texts = [right for _, _, right in parts]
    numbered = _numbered(contest_classes, texts)
    if _are_composite(ids, numbered, names):
        return _match([left for left, _, _ in parts], texts, numbered, names, path)
    if len(contest_classes) > 1:
        raise FoldsegError(
            f"{path}: its rows name no class (ids such as {shorten(ids, 2)}), and there are "
            f"{', '.join(contest_classes)}; choose one with submission.classes={{NAME: CLASS}}"
        )
    return _match(ids, None, contest_classes, names, path)


def _are_composite(ids: Sequence[str], classes: Mapping[str, int], names: ImageNames) -> bool:
    """Whether ids are an image and a class, joined by an underscore."""
    parts = [text.rpartition("_") for text in ids]
    if not names.are_known:
        return bool(ids) and all(left and right in classes for left, _, right in parts)
    composite = sum(right in classes and names.find(left) is not None for left, _, right in parts)
    return composite > sum(names.find(text) is not None for text in ids)


def _numbered(classes: Mapping[str, int], texts: Sequence[str]) -> Mapping[str, int]:
    """Return the classes by their numbers, from 1, if that is what the texts hold."""
    if any(text in classes for text in texts):
        return classes
    numbers = {str(number): index for number, index in enumerate(classes.values(), 1)}
    return numbers if any(text in numbers for text in texts) else classes


def _match(
    image_texts: list[str], class_texts: list[str] | None, classes: Mapping[str, int], names: ImageNames, path: Path
) -> Rows:
    if class_texts is None:
        indices = [next(iter(classes.values()))] * len(image_texts)
    else:
        unknown_classes = Counter(text for text in class_texts if text not in classes)
        if unknown_classes:
            (text, count), *_ = unknown_classes.most_common(1)
            raise FoldsegError(
                f"{path}: {count} row(s) are of a class {text!r}; the classes are {', '.join(classes)} "
                "(submission.classes={NAME: CLASS} says which is which)"
            )
        indices = [classes[text] for text in class_texts]
    found = [names.find(text) for text in image_texts]
    unknown = [text for text, name in zip(image_texts, found, strict=True) if name is None] if names.are_known else []
    images = [
        drop_picture_suffix(text) if name is None else name for text, name in zip(image_texts, found, strict=True)
    ]
    return Rows(images, indices, list(dict.fromkeys(unknown)), class_texts is not None)

"""Submissions as a CSV of run-length strings, as most contests of Kaggle take them.

The contest's sample file is the template: its header, rows, order and ids are written as they are, and only the runs
are filled in. All its rows are written, also those of masks without pixels.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.submissions import RunLength
from foldseg.data.labels import LabelSet
from foldseg.data.rle_text import EMPTY_TEXTS, RleDialect, decode_text, encode_text
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.submission.class_masks import list_hidden_classes, resize_mask, split_mask
from foldseg.submission.csv_cells import CsvCells, read_cells
from foldseg.submission.interface import Format, KnownImages, MaskOrRles
from foldseg.submission.run_length_file import Submission, dialect_of
from foldseg.submission.run_length_rows import (
    Columns,
    ImageNames,
    Rows,
    find_columns,
    list_contest_classes,
    match_rows,
)

Key = tuple[str, int]
"""Id of an image and index of a class."""


@dataclass(frozen=True)
class Template:
    """The rows that a submission has, with their runs left open."""

    cells: CsvCells
    columns: Columns
    rows: Rows
    empty: str
    """What is written for a mask without pixels."""
    indent: str = ""
    """The blanks that the sample has before runs."""


def _write(
    settings: RunLength, path: Path, masks: Iterable[tuple[str, MaskOrRles]], labels: LabelSet, images: KnownImages
) -> None:
    """Write (id, mask) pairs, and read the file back. FoldsegError if the images are not those of the sample."""
    contest_classes = list_contest_classes(settings, labels)
    indices = list(contest_classes.values())
    texts: dict[Key, list[str]] = {}
    for name, mask in masks:
        planes = split_mask(mask, labels, indices, images.sizes.get(name))
        for index, plane in zip(indices, planes, strict=True):
            texts[name, index] = _encode(plane, settings)
    names = list(dict.fromkeys(name for name, _ in texts))
    if settings.sample is None:
        template = _make_template(settings, names, contest_classes)
    else:
        template = read_template(settings, settings.sample, labels, ImageNames(names, images.files))
        _check_images(settings.sample, template, names, indices, labels)
    filled = _fill(template, texts, settings)
    write_text(path, filled.text())
    files = {name: images.files.get(name, Path(name)) for name in names}
    _compare(Submission(settings, path, labels, KnownImages(files)), texts, path)


def _check(settings: RunLength, labels: LabelSet, images: KnownImages) -> None:
    """Raise FoldsegError unless the sample has the images and classes that will be predicted."""
    if settings.sample is None:
        return
    names = list(images.files)
    indices = list(list_contest_classes(settings, labels).values())
    template = read_template(settings, settings.sample, labels, ImageNames(names, images.files))
    _check_images(settings.sample, template, names, indices, labels)
    _check_repetition(settings, template)


def _encode(mask: NDArray[np.bool_], settings: RunLength) -> list[str]:
    """Return the run-length strings of a mask (H, W) bool: of all of it, or of each object. None if it is empty."""
    dialect = dialect_of(settings)
    if settings.size is not None:
        mask = resize_mask(mask, settings.size)
    if not mask.any():
        return []
    if not settings.objects:
        return [_encode_and_check(mask, dialect)]
    number, components = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8)
    return [_encode_and_check(components == index, dialect) for index in range(1, number)]


def _encode_and_check(mask: NDArray[np.bool_], dialect: RleDialect) -> str:
    text = encode_text(mask, dialect)
    if not np.array_equal(decode_text(text, (mask.shape[0], mask.shape[1]), dialect), mask):
        raise AssertionError("a run-length string does not give its mask back")
    return text


def _make_template(settings: RunLength, names: list[str], classes: dict[str, int]) -> Template:
    """Return a row for each image and class."""
    usual = ("id", "rle") if len(classes) == 1 else ("id", "class", "rle")
    header = settings.columns or usual
    cells: list[list[str]] = []
    for name in names:
        for text in classes:
            if len(header) == 3:
                cells.append([name, text, ""])
            else:
                cells.append([f"{name}_{text}" if len(classes) > 1 else name, ""])
    rows = Rows([name for name in names for _ in classes], list(classes.values()) * len(names), [], len(classes) > 1)
    columns = Columns(0, len(header) - 1, 1 if len(header) == 3 else None)
    return Template(CsvCells(list(header), cells), columns, rows, settings.empty or "")


def read_template(settings: RunLength, sample: Path, labels: LabelSet, names: ImageNames) -> Template:
    """Return the rows of a contest's sample file, matched with our images and classes."""
    cells = read_cells(sample)
    columns = find_columns(cells.header, settings.columns, sample)
    rows = match_rows(cells, columns, list_contest_classes(settings, labels), names, sample)
    runs = [row[columns.runs] for row in cells.rows]
    empty = _find_empty_cell(runs) if settings.empty is None else settings.empty
    is_indented = bool(runs) and all(cell.startswith(" ") for cell in runs)
    return Template(cells, columns, rows, empty, " " if is_indented else "")


def _find_empty_cell(runs: list[str]) -> str:
    """Return the cell that a sample has for empty masks: the most frequent of `-1`, `-` and nothing.

    Other cells, such as `1 1`, only hold a place.
    """
    counts = Counter(cell for cell in runs if cell.strip('" ') in EMPTY_TEXTS)
    return counts.most_common(1)[0][0] if counts else ""


def _check_images(sample: Path, template: Template, names: list[str], indices: list[int], labels: LabelSet) -> None:
    """Raise FoldsegError unless the sample has the images and the classes that are predicted, and no others."""
    rows = template.rows
    if rows.unknown:
        raise FoldsegError(
            f"{sample}: {len(rows.unknown)} of its images are not predicted: {shorten(rows.unknown)}; predicted are "
            f"{len(names)}, e.g. {shorten(names, 2)}"
        )
    missing = sorted(set(names) - set(rows.images))
    if missing:
        raise FoldsegError(
            f"{sample}: lacks {len(missing)} of {len(names)} images that are predicted: {shorten(missing)}"
        )
    unlisted = [labels.names[index] for index in indices if index not in rows.classes]
    if unlisted:
        raise FoldsegError(f"{sample}: has no row of {', '.join(unlisted)}; submission.classes chooses what is written")


def _fill(template: Template, texts: dict[Key, list[str]], settings: RunLength) -> CsvCells:
    """Return the table with its runs. With `objects`, an image has a row for each object, where its first row was."""
    place = template.columns.runs
    _check_repetition(settings, template)
    filled: list[list[str]] = []
    seen: set[Key] = set()
    for cells, image, index in zip(template.cells.rows, template.rows.images, template.rows.classes, strict=True):
        if (image, index) in seen:  # further objects of the image in the sample
            continue
        seen.add((image, index))
        runs = [template.indent + text for text in texts[image, index]] or [template.empty]
        filled += [[*cells[:place], text, *cells[place + 1 :]] for text in runs]
    return CsvCells(template.cells.header, filled)


def _check_repetition(settings: RunLength, template: Template) -> None:
    """Raise FoldsegError if a sample has several rows of an image and class, unless each object is a row."""
    counts = Counter(zip(template.rows.images, template.rows.classes, strict=True))
    repeated = [image for (image, _), count in counts.items() if count > 1]
    if repeated and not settings.objects:
        raise FoldsegError(
            f"{settings.sample}: has several rows of {repeated[0]}; if each object is a row, say "
            "submission.objects=true"
        )


def _compare(submission: Submission, texts: dict[Key, list[str]], path: Path) -> None:
    """Raise FoldsegError unless a written file says of every image and class what was meant."""
    for (name, index), meant in texts.items():
        if submission.texts_of(name, index) != meant:
            raise FoldsegError(
                f"{path}: says something else of {name} than was predicted; is `empty` a run-length string?"
            )


def _list_unwritable(settings: RunLength, labels: LabelSet) -> list[str]:
    list_contest_classes(settings, labels)  # which raises an error for unknown classes
    return []


def _has_scored_classes_alone(settings: RunLength, labels: LabelSet) -> bool:
    return bool(list_hidden_classes(labels, list(list_contest_classes(settings, labels).values())))


FORMAT = Format(
    file_name="submission.csv",
    description="a .csv file of run-length strings",
    recognises=lambda path: path.suffix.lower() == ".csv" and path.is_file(),
    may_overlap=lambda _: True,
    list_unwritable=_list_unwritable,
    has_scored_classes_alone=_has_scored_classes_alone,
    check=_check,
    write=_write,
    open=Submission,
)

"""Reading the classes of a data set from the file in which an annotation tool or a publisher lists them.

| file | of |
| --- | --- |
| `labelmap.txt` | CVAT, Pascal VOC: lines `name:r,g,b:parts:actions` |
| `label_colors.txt` | CamVid: lines `r g b name` |
| `_classes.csv` | Roboflow: columns `Pixel Value, Class` |
| `class_dict.csv` | sets on Kaggle: columns `name,r,g,b` |
| `objectInfo150.txt`, `objectInfo150.csv` | ADE20K: columns `Idx`, ..., `Name` |
| `config.json`, `config_v1.2.json`, ... | Mapillary Vistas: `labels`, a list |
| `dataset.json` | nnU-Net: `labels`, a mapping |
| `dataset_meta.json` | datumaro: `label_map` or `labels`, and `segmentation_colors` |
| `meta.json` | Supervisely: `classes`, a list |

A file is recognised by its content, whatever its name is.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from foldseg.errors import FoldsegError, short_name
from foldseg.files import read_json
from foldseg.inputs import read_text

_VOID_NAMES = {"ignore", "ignored", "__ignore__", "void", "unlabeled", "unlabelled"}
"""Names, in small letters, of what is not labelled."""
_MAX_ID = 65535
"""The largest id of a mask file, which has 16 bits."""
_LABELMAP_LINE = re.compile(r"(?P<name>[^:]*):\s*(?P<colour>\d+\s*,\s*\d+\s*,\s*\d+)\s*(?::.*)?")
_COLOUR_FIRST = re.compile(r"(?P<colour>\d+[\s,]+\d+[\s,]+\d+)[\s,]+(?P<name>\D.*)")
_COLOUR_LAST = re.compile(r"(?P<name>.*?[^\d\s,])[\s,:]+(?P<colour>\d+[\s,]+\d+[\s,]+\d+)")
_EXPECTED = (
    "expected labelmap.txt (CVAT), label_colors.txt, _classes.csv (Roboflow), class_dict.csv, objectInfo150.txt "
    "(ADE20K), config.json (Mapillary), dataset.json (nnU-Net), dataset_meta.json (datumaro) or meta.json (Supervisely)"
)


class ClassEntry(TypedDict):
    """One class, as the list `classes` of a data set in YAML has it."""

    name: str
    ids: NotRequired[list[int]]
    """The raw ids of the class in mask files. They are missing where the file says nothing but colours."""
    color: NotRequired[list[int]]
    """Red, green and blue, each from 0 to 255."""
    scored: NotRequired[bool]
    """False for a class that is learned and not scored. It is missing for all others."""
    void: NotRequired[bool]
    """True for what is no class: pixels that count for nothing. It is missing for all others."""


def read_class_file(path: Path) -> list[ClassEntry]:
    """Return the classes that a tool's own file lists, in its order, e.g. `{name: car, ids: [1], color: [255, 0, 0]}`.

    Entries for pixels that are not labelled, such as `ignore`, have `void: True`. FoldsegError, with file and line or
    key, if the file is of no kind that is known, if a colour or id is impossible, or if a name occurs twice.
    """
    entries = _read_json(path) if path.suffix.lower() == ".json" else _read_lines(path)
    if not entries:
        raise FoldsegError(f"{path}: names no classes")
    repeated = [name for name, count in Counter(entry["name"] for entry in entries).items() if count > 1]
    if repeated:
        raise FoldsegError(f"{path}: has the class {short_name(repeated[0])!r} twice; class names must be unique")
    return entries


def has_shared_ids(entries: Iterable[ClassEntry]) -> bool:
    """Return whether an id belongs to several classes, as in regions of nnU-Net: such classes overlap."""
    counts = Counter(raw_id for entry in entries for raw_id in entry.get("ids", []))
    return any(count > 1 for count in counts.values())


def is_void_name(name: str) -> bool:
    """Return whether a name says that its pixels are not labelled: ignore, void, unlabeled, ..."""
    return name.strip().lower() in _VOID_NAMES


def parse_hex_colour(text: str) -> list[int]:
    """Return red, green and blue of `#rrggbb`. ValueError otherwise."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text.strip()):
        raise ValueError(f"{text!r} is no colour #rrggbb")
    return list(bytes.fromhex(text.strip()[1:]))


def _entry(
    name: str, ids: list[int] | None = None, colour: Sequence[int] | None = None, scored: bool = True
) -> ClassEntry:
    entry = ClassEntry(name=name.strip())
    if ids is not None:
        entry["ids"] = ids
    if colour is not None:
        entry["color"] = list(colour)
    if is_void_name(name):
        entry["void"] = True
    elif not scored:
        entry["scored"] = False
    return entry


def _read_lines(path: Path) -> list[ClassEntry]:
    """Read one of the text files: a table with a header, or lines of names and colours."""
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    rows = [(number, line) for number, line in lines if line and not line.startswith(("#", "//"))]
    if not rows:
        raise FoldsegError(f"{path}: names no classes; {_EXPECTED}")
    header = rows[0][1].lower()
    if "pixel value" in header:
        return _read_roboflow(path, rows)
    if re.match(r"idx\b.*\bname", header):
        return _read_object_info(path, rows)
    if re.fullmatch(r'"?name"?\s*,\s*"?r(ed)?"?\s*,.*', header):
        rows = rows[1:]
    for pattern in (_LABELMAP_LINE, _COLOUR_FIRST, _COLOUR_LAST):
        if pattern.fullmatch(rows[0][1]):
            return [_read_colour_line(path, number, line, pattern) for number, line in rows]
    raise FoldsegError(f"{path}: line {rows[0][0]}, {short_name(rows[0][1])!r}, names no class; {_EXPECTED}")


def _read_colour_line(path: Path, number: int, line: str, pattern: re.Pattern[str]) -> ClassEntry:
    match = pattern.fullmatch(line)
    if not match or not match["name"].strip():
        raise FoldsegError(f"{path}: line {number}, {short_name(line)!r}, is no name and colour as the lines before it")
    colour = [int(part) for part in re.findall(r"\d+", match["colour"])]
    return _entry(match["name"].strip(' "'), colour=_checked_colour(path, f"line {number}", colour))


def _read_roboflow(path: Path, rows: Sequence[tuple[int, str]]) -> list[ClassEntry]:
    entries = []
    columns = [cell.strip().lower() for cell in rows[0][1].split(",")]
    if columns[:2] != ["pixel value", "class"] or len(columns) > 2:
        raise FoldsegError(f"{path}: line {rows[0][0]}, {short_name(rows[0][1])!r}, should be `Pixel Value, Class`")
    for number, line in rows[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
        if len(cells) < 2 or not cells[1]:
            raise FoldsegError(f"{path}: line {number}, {short_name(line)!r}, is no pixel value and class")
        entries.append(_entry(cells[1], [_checked_id(path, f"line {number}", cells[0])]))
    return entries


def _read_object_info(path: Path, rows: Sequence[tuple[int, str]]) -> list[ClassEntry]:
    """Read ADE20K's table. Of a name's synonyms the first one is taken, if it is unique."""
    separators = [mark for mark in ("\t", ",") if mark in rows[0][1]]
    table = [_split_row(line, separators, rows[0][1]) for _, line in rows]
    names_column = [cell.strip().lower() for cell in table[0]].index("name")
    ids, names = [], []
    for (number, line), cells in zip(rows[1:], table[1:], strict=True):
        if len(cells) <= names_column or not cells[names_column].strip():
            raise FoldsegError(f"{path}: line {number}, {short_name(line)!r}, has no name")
        ids.append(_checked_id(path, f"line {number}", cells[0]))
        names.append(cells[names_column].strip())
    short = [re.split("[,;]", name)[0].strip() for name in names]
    counts = Counter(short)
    unique = [first if counts[first] == 1 else name for first, name in zip(short, names, strict=True)]
    return [_entry(name, [raw_id]) for name, raw_id in zip(unique, ids, strict=True)]


def _split_row(line: str, separators: Sequence[str], header: str) -> list[str]:
    if separators:
        return next(csv.reader([line], delimiter=separators[0]))
    return line.split(maxsplit=len(header.split()) - 1)


def _read_json(path: Path) -> list[ClassEntry]:
    content = read_json(path)
    if isinstance(content, dict):
        labels, classes = content.get("labels"), content.get("classes")
        if "label_map" in content or "segmentation_colors" in content:
            return _read_datumaro(path, content)
        if isinstance(labels, dict):
            return _read_nnunet(path, labels)
        if isinstance(labels, list):
            return [_read_mapillary(path, index, label) for index, label in enumerate(labels)]
        if isinstance(classes, list):
            return [_read_supervisely(path, index, label) for index, label in enumerate(classes)]
    raise FoldsegError(f"{path}: holds no list of classes; {_EXPECTED}")


def _read_mapillary(path: Path, index: int, label: Any) -> ClassEntry:
    """Return a label whose id is its position. What is not evaluated and is called Unlabeled is void."""
    place = f"labels[{index}]"
    if not isinstance(label, dict) or not isinstance(label.get("readable", label.get("name")), str):
        raise FoldsegError(f"{path}: {place} has no name")
    colour = _checked_colour(path, place, label.get("color"))
    name = label.get("readable") or label["name"]
    return _entry(name, [_checked_id(path, place, index)], colour, label.get("evaluate", True) is True)


def _read_nnunet(path: Path, labels: dict[str, Any]) -> list[ClassEntry]:
    """Return labels and regions. The background is left out if there are regions, since it is no class of them."""
    entries = []
    for name, value in labels.items():
        ids = value if isinstance(value, list) else [value]
        entries.append(_entry(name, [_checked_id(path, f"labels.{name}", raw_id) for raw_id in ids]))
    has_regions = any(isinstance(value, list) for value in labels.values())
    if not has_regions:
        return entries
    return [entry for entry in entries if entry["name"] != "background"]


def _read_datumaro(path: Path, content: dict[str, Any]) -> list[ClassEntry]:
    """Return the labels of `label_map` (id -> name) or `labels` (names in order of their ids)."""
    label_map = content.get("label_map", dict(enumerate(content.get("labels", []))))
    colours = content.get("segmentation_colors") or [None] * len(label_map)
    if not isinstance(label_map, dict) or len(colours) != len(label_map):
        raise FoldsegError(f"{path}: has {len(colours)} segmentation_colors for {len(label_map)} labels")
    entries = []
    for (raw_id, name), colour in zip(label_map.items(), colours, strict=True):
        place = f"label_map.{raw_id}"
        checked = None if colour is None else _checked_colour(path, place, colour)
        entries.append(_entry(str(name), [_checked_id(path, place, raw_id)], checked))
    return entries


def _read_supervisely(path: Path, index: int, label: Any) -> ClassEntry:
    place = f"classes[{index}]"
    if not isinstance(label, dict) or not isinstance(label.get("title"), str):
        raise FoldsegError(f"{path}: {place} has no title")
    try:
        return _entry(label["title"], colour=parse_hex_colour(str(label.get("color"))))
    except ValueError as error:
        raise FoldsegError(f"{path}: {place}: {error}") from None


def _checked_colour(path: Path, place: str, colour: Any) -> list[int]:
    is_colour = isinstance(colour, list) and len(colour) == 3
    if not is_colour or any(type(value) is not int or not 0 <= value <= 255 for value in colour):
        raise FoldsegError(f"{path}: {place}: {colour} is no colour; expected three numbers from 0 to 255")
    return list(colour)


def _checked_id(path: Path, place: str, raw_id: Any) -> int:
    text = str(raw_id).strip()
    if isinstance(raw_id, bool) or not re.fullmatch(r"\d+", text) or int(text) > _MAX_ID:
        raise FoldsegError(f"{path}: {place}: {short_name(text)!r} is no id; expected a whole number, 0 to {_MAX_ID}")
    return int(text)

"""The AI Edge Contest's JSON: `{image.jpg: {category: {row: [[x1, x2], ...]}}}`.

Columns are inclusive, rows ascend as integers, images and categories are sorted, separators are compact. Only the
scored categories are handed in; one without pixels is absent, an image without any is `{}`. They may overlap.
"""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.rle import EMPTY_RLE, FIRST, LAST, ROW, Rle, encode_classes
from foldseg.errors import FoldsegError, short_name
from foldseg.files import replacing
from foldseg.inputs import read_bytes
from foldseg.submission.format import Format

SUFFIX = ".jpg"
BEGIN = r'\s*\{\s*("[^"]*\.jpg"|\})'
"""What the text of such a file begins with, as a regular expression."""

_ANY_SIZE = (65535, 65535)  # of a JPEG, where the image is not at hand
_ROW_NUMBER = re.compile("0|[1-9][0-9]{0,9}")
_NOT_BLANK = re.compile(r"[^ \t\n\r]|\Z")


def write(path: Path, masks: Iterable[tuple[str, Mask | list[Rle]]], labels: LabelSet) -> None:
    """Write (id, class indices (H, W) uint8 or the RLE of every class) pairs, which must come sorted by id.

    The file is written image by image: memory does not grow with their number. ValueError when ids are not sorted.
    """
    previous = ""
    with replacing(path) as partial, partial.open("wb") as stream:
        for name, mask in masks:
            if name <= previous:
                raise ValueError(f"{name} comes after {previous}: images must be sorted and unique")
            stream.write(b"," if previous else b"{")
            stream.write(orjson.dumps(name + SUFFIX) + b":" + encode_image(mask, labels))
            previous = name
        stream.write(b"}" if previous else b"{}")


def encode_image(mask: Mask | list[Rle], labels: LabelSet) -> bytes:
    """Class indices (H, W) uint8 or the RLE of every class -> `{category: {row: [[x1, x2], ...]}}` as JSON."""
    scored = sorted(np.flatnonzero(labels.scored).tolist(), key=labels.names.__getitem__)  # as the organisers sort them
    runs = [mask[index] for index in scored] if isinstance(mask, list) else encode_classes(mask, scored)
    categories = {labels.names[index]: _by_row(part) for index, part in zip(scored, runs, strict=True) if len(part)}
    return orjson.dumps(categories, option=orjson.OPT_SERIALIZE_NUMPY)


def _by_row(runs: Rle) -> dict[str, NDArray[np.int64]]:
    """Row -> its runs, (n, 2) of first and last column."""
    begins = np.flatnonzero(np.diff(runs[:, ROW], prepend=-1))
    names = map(str, runs[begins, ROW].tolist())
    columns = np.ascontiguousarray(runs[:, FIRST:])
    bounds = [*begins.tolist(), len(runs)]
    return dict(zip(names, map(columns.__getitem__, map(slice, bounds[:-1], bounds[1:])), strict=True))


class Submission:
    """A file that is open for reading. FoldsegError names image, category and row of anything that is not valid."""

    def __init__(self, path: Path, labels: LabelSet) -> None:
        self._path, self._labels = path, labels
        self._images = {
            name: self._categories(content, f"{path}: {short_name(name)}{SUFFIX}") for name, content in _images(path)
        }

    @cached_property
    def names(self) -> list[str]:
        """Ids of the images."""
        return sorted(self._images)

    def read(self, name: str, size: tuple[int, int] | None) -> list[Rle]:
        """RLE of every class of the label set; those that are not scored have none.

        `size` is (height, width) of the image, None where that is not known.
        """
        found = self._images[name]
        for category, runs in found.items():
            _check_inside(runs, size or _ANY_SIZE, f"{self._path}: {short_name(name)}{SUFFIX}, {category}")
        return [found.get(category, EMPTY_RLE) for category in self._labels.names]

    def _categories(self, content: Any, where: str) -> dict[str, Rle]:
        scored = [c.name for c in self._labels.classes if c.scored]
        categories = _mapping(content, where)
        if unknown := set(categories) - set(scored):
            raise FoldsegError(f"{where}, {short_name(min(unknown))}: unknown category; valid are {', '.join(scored)}")
        return {
            category: decode_category(_mapping(rows, f"{where}, {category}"), f"{where}, {category}")
            for category, rows in categories.items()
        }


def decode_category(rows: dict[str, Any], where: str) -> Rle:
    """{row: [[x1, x2], ...]} -> runs. FoldsegError, beginning with `where`, names a row that is not valid.

    Segments must be pairs of whole numbers, ascending and without overlap; nothing may be empty.
    """
    if not rows:
        raise FoldsegError(f"{where}: is empty; a category without pixels must be absent")
    if not all(map(_ROW_NUMBER.fullmatch, rows)) or max(numbers := list(map(int, rows))) >= _ANY_SIZE[0]:
        odd = next(row for row in rows if not _ROW_NUMBER.fullmatch(row) or int(row) >= _ANY_SIZE[0])
        raise FoldsegError(f"{where}: row {_shown(odd)} is not the number of a row")
    lengths, columns = _columns(rows, where)
    runs = np.column_stack([np.repeat(np.array(numbers, np.int64), lengths), columns])
    runs = runs[np.argsort(runs[:, ROW], kind="stable")]
    _refuse(runs, runs[:, FIRST] > runs[:, LAST], "is reversed", where)
    follows = runs[1:, ROW] == runs[:-1, ROW]
    overlaps = np.append(False, follows & (runs[1:, FIRST] <= runs[:-1, LAST]))
    _refuse(runs, overlaps, "overlaps, repeats or precedes the one before it", where)
    return runs


def _columns(rows: dict[str, Any], where: str) -> tuple[list[int], NDArray[np.int64]]:
    """Number of segments of every row, and (segments, 2) of first and last column."""
    if set(map(type, rows.values())) == {list}:
        lengths = list(map(len, rows.values()))
        segments = list(chain.from_iterable(rows.values()))
        if all(lengths) and set(map(type, segments)) == {list} and set(map(len, segments)) == {2}:
            ends = list(chain.from_iterable(segments))
            if set(map(type, ends)) == {int} and min(ends) > -1 and max(ends) < _ANY_SIZE[1]:
                return lengths, np.array(ends, np.int64).reshape(-1, 2)
    for row, segments in rows.items():  # something is wrong: find out what
        if type(segments) is not list or not segments:
            raise FoldsegError(f"{where}, row {row}: should be a list of segments, is {_shown(segments)}")
        for segment in segments:
            if not (type(segment) is list and len(segment) == 2 and all(type(x) is int for x in segment)):
                raise FoldsegError(f"{where}, row {row}: segment {_shown(segment)} is not a pair of whole numbers")
            if not (min(segment) >= 0 and max(segment) < _ANY_SIZE[1]):
                raise FoldsegError(f"{where}, row {row}: segment {_shown(segment)} is outside of any image")
    raise AssertionError("unreachable: one of the rows is not valid")


def _check_inside(runs: Rle, size: tuple[int, int], where: str) -> None:
    height, width = size
    _refuse(runs, runs[:, ROW] >= height, f"is below an image {height} high", where)
    _refuse(runs, runs[:, LAST] >= width, f"is outside of an image {width} wide", where)


def _refuse(runs: Rle, bad: NDArray[np.bool_], why: str, where: str) -> None:
    """FoldsegError that names the first of the bad runs, if there are any."""
    if bad.any():
        row, first, last = runs[int(bad.argmax())].tolist()
        raise FoldsegError(f"{where}, row {row}: segment [{first}, {last}] {why}")


def _shown(value: Any) -> str:
    return reprlib.repr(value)  # short, however large or deep the value is


class _Object(list[tuple[str, Any]]):
    """A JSON object as it is written: keys may be repeated, which parsers hide."""

    def __repr__(self) -> str:
        return "a mapping"


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_no_constant)


def _images(path: Path) -> Iterator[tuple[str, Any]]:
    """Id and content of every image, one after the other, so that only one is in memory as Python objects."""
    content = read_bytes(path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise FoldsegError(f"{path}: is not a JSON mapping of images ({error})") from error
    if text.startswith("\ufeff"):
        raise FoldsegError(f"{path}: begins with a byte order mark, which is no JSON; save it as UTF-8 without")
    seen: set[str] = set()
    try:
        for key, content in _items(text):
            if not key.endswith(SUFFIX) or key in seen:
                why = "is there more than once" if key in seen else f"does not end in {SUFFIX}"
                raise FoldsegError(f"{path}: {_shown(key)}: the name of an image {why}")
            seen.add(key)
            yield key.removesuffix(SUFFIX), content
    except (ValueError, RecursionError) as error:
        raise FoldsegError(f"{path}: is not a JSON mapping of images ({error})") from error


def _items(text: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of the mapping that a JSON text is. ValueError where it is none."""

    def token(at: int, expected: str) -> int:
        at = _after_blanks(text, at)
        if text[at : at + 1] not in tuple(expected):
            raise json.JSONDecodeError(f"expected {' or '.join(expected)}", text, at)
        return at

    at = token(token(0, "{") + 1, '"}')
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, token(at + (text[at] == ","), '"'))
        content, at = _DECODER.raw_decode(text, _after_blanks(text, token(at, ":") + 1))
        yield key, content
        at = token(at, ",}")
    if (end := _after_blanks(text, at + 1)) < len(text):
        raise json.JSONDecodeError(f"expected nothing after the mapping, found {_shown(text[end:])}", text, end)


def _after_blanks(text: str, at: int) -> int:
    found = _NOT_BLANK.search(text, at)
    return found.start() if found else len(text)


def _mapping(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, _Object):
        raise FoldsegError(f"{where}: should be a mapping, is {_shown(content)}")
    mapping = dict(content)
    if len(mapping) < len(content):
        ((key, _),) = Counter(key for key, _ in content).most_common(1)
        raise FoldsegError(f"{where}: {_shown(key)} is there more than once")
    return mapping


FORMAT = Format(
    file_name="submission.json",
    description="a .json file",
    recognises=lambda path: path.suffix == ".json" and path.is_file(),
    may_overlap=True,
    has_merged_classes=True,
    has_scored_classes_alone=True,
    write=write,
    open=Submission,
)

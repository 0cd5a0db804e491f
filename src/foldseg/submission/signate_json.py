"""The AI Edge Contest's JSON: `{image.jpg: {category: {row: [[x1, x2], ...]}}}`.

Columns are inclusive, rows ascend as integers, images and categories are sorted, separators are compact. Only the
scored categories are in the file. A category without pixels is absent, and an image without any category is `{}`.
Categories may overlap.
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
from foldseg.data.rle import EMPTY_RLE, FIRST, LAST, ROW, Rle, encode_labels
from foldseg.errors import FoldsegError, short_name
from foldseg.files import replacing
from foldseg.inputs import read_bytes
from foldseg.submission.interface import Format, Size

SUFFIX = ".jpg"
BEGIN = r'\s*\{\s*("[^"]*\.jpg"|\})'
"""The beginning of the text of such a file, as a regular expression."""

_LARGEST_SIZE = (65535, 65535)  # of a JPEG: the limit where an image's size is not known
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
    """Return `{category: {row: [[x1, x2], ...]}}` as JSON, of class indices (H, W) uint8 or the RLE of every class."""
    scored = sorted(np.flatnonzero(labels.scored).tolist(), key=labels.names.__getitem__)  # as the organisers sort them
    rles = [mask[index] for index in scored] if isinstance(mask, list) else encode_labels(mask, labels, scored)
    categories = {labels.names[index]: _group_by_row(rle) for index, rle in zip(scored, rles, strict=True) if len(rle)}
    return orjson.dumps(categories, option=orjson.OPT_SERIALIZE_NUMPY)


def _group_by_row(rle: Rle) -> dict[str, NDArray[np.int64]]:
    """Return row -> its segments, (n, 2) of first and last column."""
    starts = np.flatnonzero(np.diff(rle[:, ROW], prepend=-1))  # of the rows
    rows = map(str, rle[starts, ROW].tolist())
    columns = np.ascontiguousarray(rle[:, FIRST:])
    bounds = [*starts.tolist(), len(rle)]
    segments = map(columns.__getitem__, map(slice, bounds[:-1], bounds[1:]))
    return dict(zip(rows, segments, strict=True))


class Submission:
    """A file that is open for reading. FoldsegError names image, category and row of anything that is not valid."""

    needs_size = False
    has_all_images = True
    size: Size = None

    def __init__(self, path: Path, labels: LabelSet) -> None:
        self._path, self._labels = path, labels
        self._images: dict[str, dict[str, Rle]] = {}
        for name, content in _read_images(path):
            self._images[name] = self._decode_image(content, f"{path}: {short_name(name)}{SUFFIX}")

    @cached_property
    def names(self) -> list[str]:
        """Ids of the images."""
        return sorted(self._images)

    def read(self, name: str, size: tuple[int, int] | None) -> list[Rle]:
        """Return the RLE of every class of the label set; that of classes which are not scored is empty.

        `size` is (height, width) of the image, or None where that is not known.
        """
        categories = self._images[name]
        for category, rle in categories.items():
            _check_inside(rle, size or _LARGEST_SIZE, f"{self._path}: {short_name(name)}{SUFFIX}, {category}")
        return [categories.get(category, EMPTY_RLE) for category in self._labels.names]

    def _decode_image(self, content: Any, where: str) -> dict[str, Rle]:
        """Return category -> RLE. FoldsegError, which begins with `where`, for anything that is not valid."""
        scored = [label.name for label in self._labels.classes if label.scored]
        categories = _as_mapping(content, where)
        if unknown := set(categories) - set(scored):
            raise FoldsegError(f"{where}, {short_name(min(unknown))}: unknown category; valid are {', '.join(scored)}")
        rles = {}
        for category, rows in categories.items():
            place = f"{where}, {category}"
            rles[category] = decode_category(_as_mapping(rows, place), place)
        return rles


def decode_category(rows: dict[str, Any], where: str) -> Rle:
    """Return the RLE of `{row: [[x1, x2], ...]}`.

    Segments must be pairs of whole numbers, ascending and without overlap. Neither a category nor a row may be empty.
    FoldsegError, which begins with `where`, names a row that is not valid.
    """
    if not rows:
        raise FoldsegError(f"{where}: is empty; a category without pixels must be absent")
    if not all(map(_ROW_NUMBER.fullmatch, rows)) or max(numbers := list(map(int, rows))) >= _LARGEST_SIZE[0]:
        bad = next(row for row in rows if not _ROW_NUMBER.fullmatch(row) or int(row) >= _LARGEST_SIZE[0])
        raise FoldsegError(f"{where}: row {_shorten_value(bad)} is not the number of a row")
    lengths, columns = _decode_segments(rows, where)
    rle = np.column_stack([np.repeat(np.array(numbers, np.int64), lengths), columns])
    rle = rle[np.argsort(rle[:, ROW], kind="stable")]
    _refuse(rle, rle[:, FIRST] > rle[:, LAST], "is reversed", where)
    is_same_row = rle[1:, ROW] == rle[:-1, ROW]
    overlaps = np.append(False, is_same_row & (rle[1:, FIRST] <= rle[:-1, LAST]))
    _refuse(rle, overlaps, "overlaps, repeats or precedes the one before it", where)
    return rle


def _decode_segments(rows: dict[str, Any], where: str) -> tuple[list[int], NDArray[np.int64]]:
    """Return the number of segments of every row, and first and last column of all segments, (segments, 2)."""
    # Checks of all rows at once are much faster than checks of each; the slow ones below only find what is wrong
    if set(map(type, rows.values())) == {list}:
        lengths = list(map(len, rows.values()))
        segments = list(chain.from_iterable(rows.values()))
        if all(lengths) and set(map(type, segments)) == {list} and set(map(len, segments)) == {2}:
            ends = list(chain.from_iterable(segments))
            if set(map(type, ends)) == {int} and min(ends) > -1 and max(ends) < _LARGEST_SIZE[1]:
                return lengths, np.array(ends, np.int64).reshape(-1, 2)
    for row, segments in rows.items():
        if type(segments) is not list or not segments:
            raise FoldsegError(f"{where}, row {row}: should be a list of segments, is {_shorten_value(segments)}")
        for segment in segments:
            if not (type(segment) is list and len(segment) == 2 and all(type(x) is int for x in segment)):
                raise FoldsegError(
                    f"{where}, row {row}: segment {_shorten_value(segment)} is not a pair of whole numbers"
                )
            if not (min(segment) >= 0 and max(segment) < _LARGEST_SIZE[1]):
                raise FoldsegError(f"{where}, row {row}: segment {_shorten_value(segment)} is outside of any image")
    raise AssertionError("unreachable: one of the rows is not valid")


def _check_inside(rle: Rle, size: tuple[int, int], where: str) -> None:
    height, width = size
    _refuse(rle, rle[:, ROW] >= height, f"is below an image {height} high", where)
    _refuse(rle, rle[:, LAST] >= width, f"is outside of an image {width} wide", where)


def _refuse(rle: Rle, is_bad: NDArray[np.bool_], why: str, where: str) -> None:
    """Raise FoldsegError that names the first bad segment, if there is one."""
    if is_bad.any():
        row, first, last = rle[int(is_bad.argmax())].tolist()
        raise FoldsegError(f"{where}, row {row}: segment [{first}, {last}] {why}")


def _shorten_value(value: Any) -> str:
    """Return the repr of a value: short, no matter how large or deep the value is."""
    return reprlib.repr(value)


class _Object(list[tuple[str, Any]]):
    """A JSON object as a list of (key, value), which shows repeated keys; a dict would hide them."""

    def __repr__(self) -> str:
        return "a mapping"


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_refuse_constant)


def _read_images(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield id and content of every image. Only one of them is in memory as Python objects at a time."""
    content = read_bytes(path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise FoldsegError(f"{path}: is not a JSON mapping of images ({error})") from error
    if text.startswith("\ufeff"):
        raise FoldsegError(f"{path}: begins with a byte order mark, which is no JSON; save it as UTF-8 without")
    keys: set[str] = set()
    try:
        for key, content in _parse_items(text):
            if not key.endswith(SUFFIX) or key in keys:
                why = "is there more than once" if key in keys else f"does not end in {SUFFIX}"
                raise FoldsegError(f"{path}: {_shorten_value(key)}: the name of an image {why}")
            keys.add(key)
            yield key.removesuffix(SUFFIX), content
    except (ValueError, RecursionError) as error:
        raise FoldsegError(f"{path}: is not a JSON mapping of images ({error})") from error


def _parse_items(text: str) -> Iterator[tuple[str, Any]]:
    """Yield keys and values of a JSON text that is a mapping, one by one. ValueError if it is none."""

    def find_token(start: int, expected: str) -> int:
        place = _skip_blanks(text, start)
        if text[place : place + 1] not in tuple(expected):
            raise json.JSONDecodeError(f"expected {' or '.join(expected)}", text, place)
        return place

    place = find_token(find_token(0, "{") + 1, '"}')
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, find_token(place + (text[place] == ","), '"'))
        content, place = _DECODER.raw_decode(text, _skip_blanks(text, find_token(place, ":") + 1))
        yield key, content
        place = find_token(place, ",}")
    end = _skip_blanks(text, place + 1)
    if end < len(text):
        raise json.JSONDecodeError(f"expected nothing after the mapping, found {_shorten_value(text[end:])}", text, end)


def _skip_blanks(text: str, start: int) -> int:
    """Return the place of the first character from `start` on that is not blank."""
    match = _NOT_BLANK.search(text, start)
    return match.start() if match else len(text)


def _as_mapping(content: Any, where: str) -> dict[str, Any]:
    """Return a JSON object as a dict. FoldsegError, which begins with `where`, if it is none or repeats a key."""
    if not isinstance(content, _Object):
        raise FoldsegError(f"{where}: should be a mapping, is {_shorten_value(content)}")
    mapping = dict(content)
    if len(mapping) < len(content):
        ((key, _),) = Counter(key for key, _ in content).most_common(1)
        raise FoldsegError(f"{where}: {_shorten_value(key)} is there more than once")
    return mapping


def _is_json_file(path: Path) -> bool:
    return path.suffix == ".json" and path.is_file()


FORMAT = Format(
    file_name="submission.json",
    description="a .json file",
    recognises=_is_json_file,
    may_overlap=lambda _: True,
    list_unwritable=lambda *_: [],
    has_scored_classes_alone=lambda *_: True,
    write=lambda _, path, masks, labels, __: write(path, masks, labels),
    open=lambda _, path, labels, __: Submission(path, labels),
)

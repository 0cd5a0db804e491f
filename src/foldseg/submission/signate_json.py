"""The AI Edge Contest's JSON: `{image.jpg: {category: {row: [[x1, x2], ...]}}}`.

Columns are inclusive, rows ascend as integers, images are sorted, separators are compact. Only the scored categories
are handed in; a category without pixels is absent, an image without categories is `{}`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.files import replacing

NAME = "submission.json"
_SUFFIX = ".jpg"

Segments = dict[str, list[list[int]]]
"""Row -> its runs of pixels, first and last column."""


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
    """Write (id, class indices (H, W) uint8) pairs, which must come sorted by id, as one JSON file.

    The file is written image by image: memory does not grow with their number. ValueError when ids are not sorted.
    """
    previous = ""
    with replacing(path) as partial, partial.open("wb") as stream:
        for name, mask in masks:
            if name <= previous:
                raise ValueError(f"{name} comes after {previous}: images must be sorted and unique")
            stream.write(b"," if previous else b"{")
            stream.write(orjson.dumps(name + _SUFFIX) + b":" + orjson.dumps(encode_image(mask, labels)))
            previous = name
        stream.write(b"}" if previous else b"{}")


def encode_image(mask: Mask, labels: LabelSet) -> dict[str, Segments]:
    """Class indices (H, W) uint8 -> {category: {row: [[x1, x2], ...]}} of the scored categories that are present."""
    present = np.bincount(mask.ravel(), minlength=256)[: len(labels)] > 0
    indices = np.flatnonzero(present & labels.scored)
    return {labels.names[index]: encode_category(mask == index) for index in indices}


def encode_category(mask: NDArray[np.bool_]) -> Segments:
    """(H, W) bool -> {row: [[x1, x2], ...]}: the runs of True in every row that has any."""
    edge = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    edge[:, 1:-1] = mask
    rows, columns = np.nonzero(np.diff(edge, axis=1))  # starts and ends alternate within a row
    runs = np.stack([columns[::2], columns[1::2] - 1], 1)
    names, first = np.unique(rows[::2], return_index=True)
    bounds = [*first.tolist(), len(runs)]
    segments = runs.tolist()
    return {str(name): segments[bounds[i] : bounds[i + 1]] for i, name in enumerate(names.tolist())}


def reader(path: Path, labels: LabelSet, sizes: dict[str, tuple[int, int]]) -> Callable[[str], NDArray[np.bool_]]:
    """Open a submission; the result maps an id to its masks (classes, H, W) bool, which may overlap.

    `sizes` maps ids to (height, width). FoldsegError names image, category and row of anything that is not valid.
    """
    content = load(path)

    def read(name: str) -> NDArray[np.bool_]:
        image = name + _SUFFIX
        if image not in content:
            raise FoldsegError(f"{path}: {image} is missing")
        masks = np.zeros((len(labels), *sizes[name]), bool)
        for category, segments in _mapping(content[image], f"{path}: {image}").items():
            where = f"{path}: {image}, {category}"
            if category not in labels.names or not labels.scored[labels.names.index(category)]:
                scored = [c.name for c in labels.classes if c.scored]
                raise FoldsegError(f"{where}: unknown category; valid are {', '.join(scored)}")
            masks[labels.names.index(category)] = decode_category(_mapping(segments, where), sizes[name], where)
        return masks

    return read


def decode_category(segments: dict[str, Any], size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """{row: [[x1, x2], ...]} -> (H, W) bool. FoldsegError, beginning with `where`, names a row that is not valid.

    Runs must be pairs of whole numbers inside of the image, ascending and without overlap; nothing may be empty.
    """
    height, width = size
    rows, flat = [], []
    for row, runs in segments.items():
        if not (row.isdecimal() and str(int(row)) == row and int(row) < height):
            raise FoldsegError(f"{where}: row {row!r} is not a row of an image {height} high")
        ends = _ends(runs, width, f"{where}, row {row}")
        rows += [int(row)] * (len(ends) // 2)
        flat += ends
    if not rows:
        raise FoldsegError(f"{where}: is empty; a category without pixels must be absent")
    steps = np.zeros((height, width + 1), np.int8)
    steps[rows, flat[0::2]] += 1
    steps[rows, flat[1::2]] -= 1
    return steps[:, :-1].cumsum(1, dtype=np.int8).astype(bool)


def _ends(runs: Any, width: int, where: str) -> list[int]:
    """[[x1, x2], ...] of one row -> [x1, x2 + 1, ...], checked."""
    if not isinstance(runs, list) or not runs:
        raise FoldsegError(f"{where}: should be a list of segments, is {runs!r}")
    ends: list[int] = []
    for run in runs:
        if not (isinstance(run, list) and len(run) == 2 and all(type(x) is int for x in run)):
            raise FoldsegError(f"{where}: segment {run!r} is not a pair of whole numbers")
        if not 0 <= run[0] <= run[1] < width:
            raise FoldsegError(f"{where}: segment {run} is reversed or outside of an image {width} wide")
        if ends and run[0] < ends[-1]:
            raise FoldsegError(f"{where}: segment {run} overlaps or precedes the one before it")
        ends += [run[0], run[1] + 1]
    return ends


def load(path: Path) -> dict[str, Any]:
    """Read the JSON; FoldsegError when it is missing or not a mapping of images."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise FoldsegError(f"{path}: is not valid JSON ({error})") from error
    return _mapping(content, str(path))


def _mapping(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise FoldsegError(f"{where}: should be a mapping, is {type(content).__name__}")
    return content


def names(path: Path) -> list[str]:
    """Ids of the images in a file."""
    return [name.removesuffix(_SUFFIX) for name in load(path)]


def extents(path: Path) -> dict[str, tuple[int, int]]:
    """Id -> smallest (height, width) that holds every segment, for files whose images are not at hand."""
    sizes = {}
    for image, categories in load(path).items():
        where = f"{path}: {image}"
        rows = [item for part in _mapping(categories, where).values() for item in _mapping(part, where).items()]
        try:
            height = max((int(row) + 1 for row, _ in rows), default=1)
            width = max((int(run[1]) + 1 for _, runs in rows for run in runs), default=1)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise FoldsegError(f"{where}: holds a row or segment that is none ({error})") from error
        sizes[image.removesuffix(_SUFFIX)] = (height, width)
    return sizes

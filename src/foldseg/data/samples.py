"""The samples table: one row per image, whatever the data set.

Columns, all strings: `id` (unique), `image` and `mask` (paths relative to the data root; mask "" where there is none),
`split`, `group` (what must never be divided between folds), `stratum` (what folds balance).
"""

import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.reading import image_size, read_index_mask, read_mask
from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

COLUMNS = ["id", "image", "mask", "split", "group", "stratum"]
_MAX_ID = 200  # bytes: with a suffix, and what a temporary name adds, a file name has 255 at most
_MAX_SHOWN = 80
_MANY = 10  # masks that are named


def samples_table(rows: Iterable[tuple[str, str, str, str, str, str]], source: Path) -> pd.DataFrame:
    """Build a samples table. FoldsegError when it is empty, an id is repeated or cannot be the name of a file."""
    table = pd.DataFrame(list(rows), columns=COLUMNS, dtype="str")
    if table.empty:
        raise FoldsegError(f"{source}: holds no images")
    double = table["id"][table["id"].duplicated()].unique().tolist()
    if double:
        raise FoldsegError(f"{source}: {len(double)} id(s) occur twice, e.g. {shorten(double)}")
    for name in table["id"]:
        if wrong := _what_is_wrong(name):
            raise FoldsegError(f"{source}: the id {shown(name)} {wrong}; ids become names of files: rename its image")
    return table


def _what_is_wrong(name: str) -> str:
    """Why an id cannot be the name of a file in stores and submissions; "" if it can. Blanks and dots may be in it."""
    if not name:
        return "is empty"
    if name.startswith("."):
        return "begins with a dot, as hidden files do"
    if "/" in name or "\\" in name:
        return "holds a slash"
    if not name.isprintable():
        return "holds a character that cannot be printed"
    if len(name.encode()) > _MAX_ID:
        return f"has {len(name.encode())} bytes; {_MAX_ID} are possible"
    return ""


def check_files(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Read every header before the GPU hours; return the table with `height` and `width` (int) added.

    FoldsegError for a missing, damaged or truncated file and for a mask whose size is not its image's.
    """
    sizes = []
    rows = table.itertuples(index=False)
    for row in tqdm(rows, total=len(table), desc="checking files", unit="image", leave=False, disable=None):
        size = image_size(root / str(row.image))
        if row.mask and (mask_size := image_size(root / str(row.mask))) != size:
            raise FoldsegError(
                f"{root / str(row.mask)}: is {mask_size[1]}x{mask_size[0]}, "
                f"its image {row.image} is {size[1]}x{size[0]} (width x height)"
            )
        sizes.append(size)
    return table.assign(height=[h for h, _ in sizes], width=[w for _, w in sizes])


def count_mask_pixels(table: pd.DataFrame, root: Path, labels: LabelSet, encoded: bool = False) -> NDArray[np.int64]:
    """Count the pixels of every class in the masks of `table`: (images, classes + 1) int64, void last.

    `encoded`: masks hold class indices, as `read_index_mask` says. A mask is read once in a process as long as its file
    stays as it is. FoldsegError names all masks that cannot be
    read or that hold unknown ids or colours.
    """
    read = partial(_counted, labels=labels, encoded=encoded)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(read, [root / str(mask) for mask in table["mask"]])
        found = list(tqdm(steps, "counting pixels", len(table), unit="mask", leave=False, disable=None))
    problems = [str(counts) for counts in found if isinstance(counts, FoldsegError)]
    if problems:
        more = [f"and {len(problems) - _MANY} more"] if len(problems) > _MANY else []
        lines = "\n  ".join([*problems[:_MANY], *more])
        raise FoldsegError(lines if len(problems) == 1 else f"{len(problems)} masks cannot be used:\n  {lines}")
    return np.array(found, np.int64).reshape(-1, 256)[:, [*range(len(labels)), IGNORE_INDEX]]


def check_mask_values(table: pd.DataFrame, root: Path, labels: LabelSet, encoded: bool = False) -> None:
    """FoldsegError, before any training, for masks that hold unknown ids or colours; warns of masks that are void.

    All masks are read: 2,243 of 1936x1216 take about a minute and a half of processor time, divided by the cores.
    """
    void = table["mask"][count_mask_pixels(table, root, labels, encoded)[:, :-1].sum(1) == 0]
    if len(void):
        logger.warning("%d of %d masks are void all over: %s", len(void), len(table), shorten(void))


def _counted(path: Path, labels: LabelSet, encoded: bool) -> tuple[int, ...] | FoldsegError:
    """Pixels of every value of a mask, or what is wrong with it."""
    try:
        facts = path.stat()
    except OSError as error:
        return FoldsegError(f"{path}: cannot be read: {error.strerror}")
    return _remembered_counts(path, facts.st_size, facts.st_mtime_ns, labels, encoded)


@cache
def _remembered_counts(
    path: Path, size: int, time: int, labels: LabelSet, encoded: bool
) -> tuple[int, ...] | FoldsegError:
    try:
        mask = read_index_mask(path, len(labels)) if encoded else read_mask(path, labels)
        return tuple(np.bincount(mask.ravel(), minlength=256).tolist())
    except FoldsegError as error:
        return error


def existing_folder(path: Path) -> Path:
    """Return `path` if it is a folder; FoldsegError otherwise."""
    if not path.is_dir():
        raise FoldsegError(f"{path}: no such folder")
    return path


def shorten(items: Iterable[object], most: int = 5) -> str:
    """`a, b, c and 12 more`, for error messages."""
    names = [cut(str(item)) for item in items]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def cut(text: str, most: int = _MAX_SHOWN) -> str:
    """`text`, without its middle if it is too long for a message."""
    return text if len(text) <= most else f"{text[: most - 23]}...{text[-20:]}"


def shown(text: str) -> str:
    """`text` between quotes, without its middle if it is long and with escapes for what cannot be printed."""
    return repr(cut(text))

"""The samples table: one row per image, whatever the data set.

Columns, all strings: `id` (unique), `image` and `mask` (paths relative to the data root; mask "" where there is none),
`split`, `group` (what must never be divided between folds), `stratum` (what folds balance).
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.reading import image_size, read_mask
from foldseg.errors import FoldsegError

COLUMNS = ["id", "image", "mask", "split", "group", "stratum"]
_MAX_ID = 200  # bytes: with a suffix, and what a temporary name adds, a file name has 255 at most
_MAX_SHOWN = 80


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


def count_mask_pixels(table: pd.DataFrame, root: Path, labels: LabelSet) -> NDArray[np.int64]:
    """Count the pixels of every class in the masks of `table`: (images, classes + 1) int64, void last."""
    counts = np.zeros((len(table), 256), np.int64)
    for row, mask in enumerate(tqdm(table["mask"], desc="counting pixels", unit="mask", leave=False, disable=None)):
        counts[row] = np.bincount(read_mask(root / mask, labels).ravel(), minlength=256)
    return counts[:, [*range(len(labels)), IGNORE_INDEX]]


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

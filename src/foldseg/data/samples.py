"""The samples table: one row per image, whatever the data set.

Columns, all strings: `id` (unique), `image` and `mask` (paths relative to the data root; mask "" where there is none),
`split`, `group` (what must never be divided between folds), `stratum` (what folds balance).
"""

import re
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
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def samples_table(rows: Iterable[tuple[str, str, str, str, str, str]], source: Path) -> pd.DataFrame:
    """Build a samples table. FoldsegError when it is empty, an id is repeated or cannot be a file name."""
    table = pd.DataFrame(list(rows), columns=COLUMNS, dtype="str")
    if table.empty:
        raise FoldsegError(f"{source}: holds no images")
    double = table["id"][table["id"].duplicated()].unique().tolist()
    if double:
        raise FoldsegError(f"{source}: {len(double)} id(s) occur twice, e.g. {shorten(double)}")
    unsafe = [i for i in table["id"] if not _SAFE_ID.fullmatch(i)]
    if unsafe:
        raise FoldsegError(f"{source}: ids must be plain file names, not e.g. {shorten(unsafe)}")
    return table


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


def pair_by_stem(images: list[Path], masks: list[Path]) -> list[tuple[Path, Path]]:
    """Pair images with masks of the same stem. FoldsegError names images without mask and masks without image."""
    by_stem = {mask.stem: mask for mask in masks}
    lonely = [image for image in images if image.stem not in by_stem]
    if lonely:
        raise FoldsegError(f"{lonely[0]}: has no mask ({len(lonely)} such image(s))")
    spare = sorted(set(by_stem) - {image.stem for image in images})
    if spare:
        raise FoldsegError(f"{by_stem[spare[0]]}: is a mask without an image ({len(spare)} such mask(s))")
    return [(image, by_stem[image.stem]) for image in images]


def existing_folder(path: Path) -> Path:
    """Return `path` if it is a folder; FoldsegError otherwise."""
    if not path.is_dir():
        raise FoldsegError(f"{path}: no such folder")
    return path


def shorten(items: Iterable[object], most: int = 5) -> str:
    """`a, b, c and 12 more`, for error messages."""
    names = [str(item) for item in items]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""The samples table: one row per image, whatever the data set.

Columns, all strings: `id` (unique), `image` and `mask` (paths relative to the data root; mask "" where there is none),
`split`, `group` (what must never be divided between folds), `stratum` (what folds balance).
"""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.headers import Header
from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.reading import AS_SHOWN, check_whole, read_mask, sizes_differ
from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

COLUMNS = ["id", "image", "mask", "split", "group", "stratum"]
_TURNED = {
    "upright": "%s: has an EXIF orientation (%d of %d images do) and is turned upright; its mask has to be so, and its "
    "prediction is. For masks that were drawn on the stored pixels: data.pictures.orientation=stored",
    "stored": "%s: has an EXIF orientation (%d of %d images do) and is not turned (data.pictures.orientation=stored)",
}
_OBLONG = "%s: says that its pixels are not square (%d of %d images do); they are taken as they are stored"
_SHOWN = 20  # files that cannot be used
_SQUARE = 0.01  # relative difference of a pixel's sides from which on it is said
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


def check_files(table: pd.DataFrame, root: Path, pictures: Pictures = AS_SHOWN) -> pd.DataFrame:
    """Make sure before the GPU hours that all files are whole; return the table with `height` and `width` (int) added.

    FoldsegError names every file that is missing or damaged, and every mask whose size is not its image's. Says once
    which images are turned as their EXIF says, or not, and which have pixels that are not square.
    """
    images = [root / str(image) for image in table["image"]]
    masks = [root / str(mask) if mask else None for mask in table["mask"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(_checked, images, masks, repeat(pictures))
        bar = tqdm(steps, total=len(images), desc="checking files", unit="image", leave=False, disable=None)
        found = list(bar)
    problems = [str(outcome) for outcome in found if isinstance(outcome, FoldsegError)]
    if len(problems) == 1:
        raise FoldsegError(problems[0])
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise FoldsegError(f"{len(problems)} images cannot be used:\n  " + "\n  ".join([*problems[:_SHOWN], *more]))
    headers = [outcome for outcome in found if isinstance(outcome, Header)]
    _say_what_is_decided(images, headers, pictures)
    sizes = [header.size(pictures.upright) for header in headers]
    return table.assign(height=[h for h, _ in sizes], width=[w for _, w in sizes])


def _checked(image: Path, mask: Path | None, pictures: Pictures) -> Header | FoldsegError:
    """Return the header of an image, or what is wrong with it or its mask."""
    try:
        header = _whole(image, pictures)
        size = header.size(pictures.upright)
        mask_size = _whole(mask, pictures).size(pictures.upright) if mask else size
    except FoldsegError as error:
        return error
    return header if mask_size == size else FoldsegError(sizes_differ(mask, mask_size, image, size, header.orientation))


def _whole(path: Path, pictures: Pictures) -> Header:
    """Check a file, once per process as long as it does not change: several folds are trained one after the other."""
    try:
        facts = path.stat()
    except OSError:
        return check_whole(path, pictures)  # which says what is wrong
    return _remembered(path, facts.st_size, facts.st_mtime_ns, pictures)


@cache
def _remembered(path: Path, size: int, time: int, pictures: Pictures) -> Header:
    return check_whole(path, pictures)


def _say_what_is_decided(images: Sequence[Path], headers: Sequence[Header], pictures: Pictures) -> None:
    turned = [path for path, header in zip(images, headers, strict=True) if header.orientation != 1]
    if turned:
        logger.warning(_TURNED[pictures.orientation], turned[0], len(turned), len(images))
    oblong = [path for path, header in zip(images, headers, strict=True) if abs(header.aspect - 1) > _SQUARE]
    if oblong:
        logger.warning(_OBLONG, oblong[0], len(oblong), len(images))


def count_mask_pixels(
    table: pd.DataFrame, root: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN
) -> NDArray[np.int64]:
    """Count the pixels of every class in the masks of `table`: (images, classes + 1) int64, void last."""
    counts = np.zeros((len(table), 256), np.int64)
    for row, mask in enumerate(tqdm(table["mask"], desc="counting pixels", unit="mask", leave=False, disable=None)):
        counts[row] = np.bincount(read_mask(root / mask, labels, pictures).ravel(), minlength=256)
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

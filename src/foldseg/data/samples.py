"""The samples table: one row per image, whatever the data set.

Columns, all strings: `id` (unique), `image` and `mask` (paths relative to the data root; mask "" where there is none),
`split`, `group` (what must never be divided between folds), `stratum` (what folds balance).
"""

import logging
import os
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
from foldseg.data.counting import count_masks
from foldseg.data.headers import Header
from foldseg.data.labels import LabelSet
from foldseg.data.reading import AS_SHOWN, check_whole, sizes_differ
from foldseg.errors import FoldsegError, raise_if_any

logger = logging.getLogger(__name__)

COLUMNS = ["id", "image", "mask", "split", "group", "stratum"]
_TURNED = {
    "upright": "%s: has an EXIF orientation (%d of %d images do) and is turned upright; its mask has to be so, and its "
    "prediction is. For masks that were drawn on the stored pixels: data.pictures.orientation=stored",
    "stored": "%s: has an EXIF orientation (%d of %d images do) and is not turned (data.pictures.orientation=stored)",
}
_OBLONG = "%s: says that its pixels are not square (%d of %d images do); they are taken as they are stored"
_SQUARE = 0.01  # relative difference of a pixel's sides from which on it is said
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
    raise_if_any([str(outcome) for outcome in found if isinstance(outcome, FoldsegError)], "images")
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
    table: pd.DataFrame, root: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False
) -> NDArray[np.int64]:
    """As `count_masks`, of the masks of a samples table whose paths are relative to `root`."""
    return count_masks([root / str(mask) for mask in table["mask"]], labels, pictures, encoded)


def check_mask_values(
    table: pd.DataFrame, root: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False
) -> None:
    """FoldsegError, before any training, for masks that hold unknown ids or colours; warns of masks that are void.

    All masks are read: 2,243 of 1936x1216 take about a minute and a half of processor time, divided by the cores.
    """
    void = table["mask"][count_mask_pixels(table, root, labels, pictures, encoded)[:, :-1].sum(1) == 0]
    if len(void):
        logger.warning("%d of %d masks are void all over: %s", len(void), len(table), shorten(void))


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

"""The samples table of a data set: one row per image. Building it, and checking the files that it names.

All columns are strings:

- `id`: unique;
- `image`, `mask`: paths relative to the data root; the mask is "" if there is none;
- `split`: the part that the publishers put the image into. Images of `test` are predicted for the submission. Those of
  the splits in `data.fold_splits` (by default `train`) are divided into folds. Others are not used;
- `group`: images that must never be divided between folds;
- `stratum`: what folds balance.
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
from foldseg.data.reading import AS_SHOWN, check_pixels, describe_size_difference
from foldseg.errors import FoldsegError, raise_if_any

logger = logging.getLogger(__name__)

COLUMNS = ["id", "image", "mask", "split", "group", "stratum"]
_TURNED = {
    "upright": "%s: has an EXIF orientation (%d of %d images do) and is turned upright; its mask must be "
    "upright, too; its prediction will be. For masks that were drawn on the stored pixels: "
    "data.pictures.orientation=stored",
    "stored": "%s: has an EXIF orientation (%d of %d images do) and is not turned (data.pictures.orientation=stored)",
}
_OBLONG = "%s: says that its pixels are not square (%d of %d images do); they are taken as they are stored"
_SQUARE = 0.01
"""Pixels count as square if their sides differ by no more than this, relatively."""
MAX_ID = 200
"""Longest id, in bytes. A file name has at most 255, which include a suffix and what a temporary name adds."""
_MAX_SHOWN = 80
"""Longest text that a message quotes, in letters."""


def build_samples_table(rows: Iterable[tuple[str, str, str, str, str, str]], source: Path) -> pd.DataFrame:
    """Return a samples table of rows (id, image, mask, split, group, stratum); `source` is named in errors.

    FoldsegError if there are no rows, if an id is repeated, and if an id cannot be the name of a file.
    """
    table = pd.DataFrame(list(rows), columns=COLUMNS, dtype="str")
    if table.empty:
        raise FoldsegError(f"{source}: holds no images")
    repeated = table["id"][table["id"].duplicated()].unique().tolist()
    if repeated:
        raise FoldsegError(f"{source}: {len(repeated)} id(s) occur twice, e.g. {shorten(repeated)}")
    for name in table["id"]:
        problem = _describe_invalid_id(name)
        if problem:
            raise FoldsegError(f"{source}: the id {quote(name)} {problem}; ids become names of files: rename its image")
    return table


def _describe_invalid_id(name: str) -> str:
    """Say why an id cannot be the name of a file in stores and submissions; "" if it can. Blanks and dots are valid."""
    if not name:
        return "is empty"
    if name.startswith("."):
        return "begins with a dot, as hidden files do"
    if "/" in name or "\\" in name:
        return "holds a slash"
    if not name.isprintable():
        return "holds a character that cannot be printed"
    if len(name.encode()) > MAX_ID:
        return f"has {len(name.encode())} bytes; {MAX_ID} are possible"
    return ""


def check_files(table: pd.DataFrame, root: Path, pictures: Pictures = AS_SHOWN) -> pd.DataFrame:
    """Check all files of a samples table, so that no damage is found after hours of training.

    Returns the table with the columns `height` and `width` (int, pixels) added. Warns of images with an EXIF
    orientation, and of images whose pixels are not square. FoldsegError names every file that is missing or damaged,
    and every mask whose size differs from that of its image.
    """
    images = [root / str(image) for image in table["image"]]
    masks = [root / str(mask) if mask else None for mask in table["mask"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(_header_or_error, images, masks, repeat(pictures))
        bar = tqdm(steps, total=len(images), desc="checking files", unit="image", leave=False, disable=None)
        outcomes = list(bar)
    raise_if_any([str(outcome) for outcome in outcomes if isinstance(outcome, FoldsegError)], "images")
    headers = [outcome for outcome in outcomes if isinstance(outcome, Header)]
    _warn_of_odd_pictures(images, headers, pictures)
    sizes = [header.size(pictures.upright) for header in headers]
    return table.assign(height=[height for height, _ in sizes], width=[width for _, width in sizes])


def _header_or_error(image: Path, mask: Path | None, pictures: Pictures) -> Header | FoldsegError:
    """Return the header of an image, or the error that says what is wrong with the image or its mask."""
    try:
        header = check_once(image, pictures)
        size = header.size(pictures.upright)
        mask_size = check_once(mask, pictures, is_mask=True).size(pictures.upright) if mask else size
    except FoldsegError as error:
        return error
    if mask_size != size and not pictures.resize_masks:
        return FoldsegError(describe_size_difference(mask, mask_size, image, size, header.orientation))
    return header


def check_once(path: Path, pictures: Pictures, is_mask: bool = False) -> Header:
    """Check a file and return its header. A process checks a file again only if it has changed.

    It may train several folds, which read the same files.
    """
    try:
        status = path.stat()
    except OSError:
        return check_pixels(path, pictures, is_mask)  # this raises the error that says what is wrong
    return _check_and_remember(path, status.st_size, status.st_mtime_ns, pictures, is_mask)


@cache
def _check_and_remember(path: Path, size: int, time: int, pictures: Pictures, is_mask: bool) -> Header:
    return check_pixels(path, pictures, is_mask)


def _warn_of_odd_pictures(images: Sequence[Path], headers: Sequence[Header], pictures: Pictures) -> None:
    turned = [path for path, header in zip(images, headers, strict=True) if header.orientation != 1]
    if turned:
        logger.warning(_TURNED[pictures.orientation], turned[0], len(turned), len(images))
    oblong = [path for path, header in zip(images, headers, strict=True) if abs(header.aspect - 1) > _SQUARE]
    if oblong:
        logger.warning(_OBLONG, oblong[0], len(oblong), len(images))


def count_mask_pixels(
    table: pd.DataFrame, root: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False
) -> NDArray[np.int64]:
    """Count the pixels of the masks of a samples table, as `count_masks` does; its paths are relative to `root`."""
    return count_masks([root / str(mask) for mask in table["mask"]], labels, pictures, encoded)


def check_mask_values(
    table: pd.DataFrame, root: Path, labels: LabelSet, pictures: Pictures = AS_SHOWN, encoded: bool = False
) -> None:
    """Raise FoldsegError for masks that hold unknown ids or colours; warn of masks that hold nothing but void.

    Masks of overlapping classes may be empty, which is no reason for a warning.

    It is called before training and reads all masks. 2,243 masks of 1936x1216 take about a minute and a half of
    processor time, divided by the cores.
    """
    labelled_pixels = count_mask_pixels(table, root, labels, pictures, encoded)[:, :-1].sum(1)
    void = table["mask"][labelled_pixels == 0]
    if len(void) and not labels.overlapping:
        logger.warning("%d of %d masks are void all over: %s", len(void), len(table), shorten(void))


def require_folder(path: Path) -> Path:
    """Return `path` if it is a folder; FoldsegError otherwise."""
    if not path.is_dir():
        raise FoldsegError(f"{path}: no such folder")
    return path


def shorten(items: Iterable[object], most: int = 5) -> str:
    """List the first `most` items for an error message: `a, b, c and 12 more`."""
    names = [cut_middle(str(item)) for item in items]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def cut_middle(text: str, most: int = _MAX_SHOWN) -> str:
    """Return a text, without its middle if it is too long for a message: of more than `most` letters."""
    return text if len(text) <= most else f"{text[: most - 23]}...{text[-20:]}"


def quote(text: str) -> str:
    """Return a text between quotes, without its middle if it is long, and with escapes for what cannot be printed."""
    return repr(cut_middle(text))

"""Folders of pictures or arrays, of which several formats are: what one holds, and what is removed from it."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

PNG, NPY = "*.[pP][nN][gG]", "*.npy"
_COLOUR_TYPE = 25
"""The byte of a PNG that says what a pixel is. Other bytes before it are the start, and width, height and bits."""
_RGB_TYPES = (2, 6)

Content = Literal["ids", "colours", "folders", "arrays", "nothing", "other"]


def find_content(path: Path) -> Content:
    """Return what a folder holds: PNGs of ids or of colours, folders of PNGs, NumPy files, nothing, or other things.

    Its first PNG tells ids from colours. A PNG that cannot be read counts as one of ids. Folders of PNGs may lie beside
    hidden files alone.
    """
    if not path.is_dir():
        return "other"
    first = min(path.glob(PNG), default=None)
    if first is not None:
        return "colours" if _has_colours(first) else "ids"
    if any(path.glob(NPY)):
        return "arrays"
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if not entries:
        return "other" if any(path.iterdir()) else "nothing"
    holds_pngs = all(entry.is_dir() and any(entry.glob(PNG)) for entry in entries)
    return "folders" if holds_pngs else "other"


def _has_colours(png: Path) -> bool:
    """Whether the header of a PNG says that its pixels are RGB or RGBA."""
    try:
        with png.open("rb") as stream:
            head = stream.read(_COLOUR_TYPE + 1)
    except OSError:
        return False
    return len(head) > _COLOUR_TYPE and head[_COLOUR_TYPE] in _RGB_TYPES


def remove_others(folder: Path, pattern: str, written: Collection[Path]) -> None:
    """Remove the files of a folder that match a pattern and were not written now."""
    for stale in set(folder.glob(pattern)) - set(written):
        stale.unlink()

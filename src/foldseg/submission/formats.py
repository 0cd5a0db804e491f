"""Submission formats by name. To add one: a module with `NAME`, `write`, `names` and `reader`, and a line here."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.submission import label_png, signate_json

Sizes = dict[str, tuple[int, int]]
AnyMasks = Mask | NDArray[np.bool_]


class Format(Protocol):
    """What a module of a format has."""

    NAME: str
    """Name of the file or folder within the submission's folder."""

    def write(self, path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
        """Write (id, class indices (H, W) uint8) pairs, sorted by id, image by image."""

    def names(self, path: Path) -> list[str]:
        """Ids of the images in a submission."""

    def reader(self, path: Path, labels: LabelSet, sizes: Sizes) -> Callable[[str], AnyMasks]:
        """Open a submission: id -> class indices (H, W) uint8 or masks (classes, H, W) bool."""


FORMATS: dict[str, Format] = {"signate_json": signate_json, "label_png": label_png}


def format_of(path: Path) -> Format:
    """Return the format of an existing submission: a folder holds PNGs, a .json file the AI Edge Contest's."""
    if path.is_dir():
        return FORMATS["label_png"]
    if path.suffix == ".json" and path.is_file():
        return FORMATS["signate_json"]
    raise FoldsegError(f"{path}: is no submission; expected a folder of PNGs or a .json file")


def check_ids(path: Path, wanted: Iterable[str]) -> None:
    """FoldsegError unless a submission holds exactly the images `wanted`."""
    want, have = set(wanted), set(format_of(path).names(path))
    if want != have:
        raise FoldsegError(
            f"{path}: {len(want - have)} image(s) are missing ({shorten(sorted(want - have))}), "
            f"{len(have - want)} are not asked for ({shorten(sorted(have - want))})"
        )


def check_submission(path: Path, sizes: Sizes, labels: LabelSet) -> None:
    """Read a submission back: FoldsegError unless it holds exactly the images of `sizes`, all of them valid."""
    check_ids(path, sizes)
    read = format_of(path).reader(path, labels, sizes)
    for name in sizes:
        read(name)

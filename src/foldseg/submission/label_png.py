"""Submissions as a folder of 8-bit PNGs of raw ids, `<id>.png`: what CamVid, Cityscapes, VOC and MiniCity take."""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import read_mask
from foldseg.data.samples import existing_folder
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes

NAME = "labels"


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
    """Write (id, class indices (H, W) uint8) pairs as PNGs of raw ids into the folder `path`.

    PNGs of other ids that a former call left there are removed.
    """
    written = set()
    for name, mask in masks:
        write_png(path / f"{name}.png", labels.decode(mask))
        written.add(f"{name}.png")
    for stale in {p.name for p in path.glob("*.png")} - written:
        (path / stale).unlink()


def write_png(path: Path, ids: Mask) -> None:
    """Write one 8-bit, one-channel PNG, all of it or nothing."""
    done, content = cv2.imencode(".png", ids)
    if not done:
        raise FoldsegError(f"{path}: could not be encoded")
    write_bytes(path, content.tobytes())


def names(path: Path) -> list[str]:
    """Ids of the PNGs in a folder."""
    return sorted(file.stem for file in existing_folder(path).glob("*.png"))


def reader(path: Path, labels: LabelSet, sizes: dict[str, tuple[int, int]]) -> Callable[[str], Mask]:
    """Open a submission; the result maps an id to its class indices (H, W) uint8.

    `sizes` maps ids to (height, width). FoldsegError names a PNG that is not valid.
    """
    ids = LabelSet(labels.classes, labels.void_ids)  # raw ids, whatever the truth's files hold

    def read(name: str) -> Mask:
        mask = read_mask(path / f"{name}.png", ids)
        if mask.shape != sizes[name]:
            raise FoldsegError(f"{path}: {name}.png is {mask.shape}, the image {sizes[name]} (height, width)")
        return mask

    return read

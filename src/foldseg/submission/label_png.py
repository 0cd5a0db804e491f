"""Submissions as a folder of 8-bit PNGs of raw ids, `<id>.png`, as CamVid, Cityscapes, VOC and MiniCity take them."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import cv2

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.listing import MASKS, list_files
from foldseg.data.mask_files import read_mask
from foldseg.data.samples import require_folder
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.submission.interface import Format


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
    """Write (id, class indices (H, W) uint8) pairs as PNGs of raw ids into the folder `path`.

    PNGs of other ids that an earlier call left there are removed.
    """
    written = set()
    for name, mask in masks:
        write_png(path / f"{name}.png", labels.decode(mask))
        written.add(f"{name}.png")
    for stale in {p.name for p in path.glob("*.png")} - written:
        (path / stale).unlink()


def write_png(path: Path, picture: Mask) -> None:
    """Write one 8-bit PNG of ids (H, W) or of BGR colours (H, W, 3). It appears whole or not at all."""
    is_encoded, content = cv2.imencode(".png", picture)
    if not is_encoded:
        raise FoldsegError(f"{path}: could not be encoded")
    write_bytes(path, content.tobytes())


class Submission:
    """A folder of PNGs that is open for reading. FoldsegError names a PNG that is not valid."""

    def __init__(self, path: Path, labels: LabelSet) -> None:
        self._path = require_folder(path)
        self._labels = LabelSet(labels.classes, labels.void_ids)  # without colours: submissions always hold raw ids

    @cached_property
    def files(self) -> dict[str, Path]:
        """Id -> PNG, sorted by id. Other files in the folder are logged."""
        return dict(sorted(list_files(self._path, MASKS).by_stem.items()))

    @property
    def names(self) -> list[str]:
        """Ids of the images."""
        return list(self.files)

    def read(self, name: str, size: tuple[int, int] | None) -> Mask:
        """Return class indices (H, W) uint8 of one image. `size`: (height, width) of the image, None if not known."""
        mask = read_mask(self.files[name], self._labels)
        if size is not None and mask.shape != size:
            raise FoldsegError(f"{self.files[name]}: is {mask.shape}, the image {size} (height, width)")
        return mask


def _recognises(path: Path) -> bool:
    """Whether a path is a folder that holds PNGs, or nothing else either."""
    return path.is_dir() and (any(path.glob("*.[pP][nN][gG]")) or not any(path.iterdir()))


FORMAT = Format(
    file_name="labels",
    description="a folder of PNGs",
    recognises=_recognises,
    may_overlap=False,
    has_merged_classes=False,
    has_scored_classes_alone=False,
    write=write,
    open=Submission,
)

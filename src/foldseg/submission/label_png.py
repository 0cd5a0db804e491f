"""Submissions as a folder of PNGs of raw ids, `<id>.png`, as CamVid, Cityscapes, VOC and MiniCity take them."""

import io
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from foldseg.config.schema.submissions import LabelPng
from foldseg.data.labels import LabelSet, Mask, RawIds
from foldseg.data.listing import MASKS, list_files
from foldseg.data.mask_files import read_mask
from foldseg.data.samples import require_folder
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.submission.interface import Format, KnownImages, Size
from foldseg.submission.picture_folders import find_content, remove_others
from foldseg.submission.written_ids import list_unwritable, with_values


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet, palette: bool = False) -> None:
    """Write (id, mask (H, W) uint8) pairs as PNGs of raw ids into the folder `path`.

    PNGs of other ids that an earlier call left there are removed. `palette`: whether they have a palette of colours.
    """
    written = set()
    for name, mask in masks:
        raw_ids = labels.decode(mask)
        if palette:
            _write_with_palette(path / f"{name}.png", raw_ids, labels)
        else:
            write_png(path / f"{name}.png", raw_ids)
        written.add(path / f"{name}.png")
    remove_others(path, "*.png", written)


def write_png(path: Path, picture: RawIds) -> None:
    """Write one PNG of ids (H, W), of 8 or 16 bits, or of BGR colours (H, W, 3). It appears whole or not at all."""
    is_encoded, content = cv2.imencode(".png", picture)
    if not is_encoded:
        raise FoldsegError(f"{path}: could not be encoded")
    write_bytes(path, content.tobytes())


def _write_with_palette(path: Path, raw_ids: RawIds, labels: LabelSet) -> None:
    """Write ids (H, W) as a PNG with a palette, in which each id has the colour of its class."""
    if raw_ids.dtype != np.uint8:
        raise FoldsegError("submission.palette: a palette has 256 colours, and some ids are above 255")
    colours = np.zeros((256, 3), np.uint8)
    for label in labels.classes:
        colours[list(label.raw_ids)] = label.colour
    picture = PillowImage.fromarray(raw_ids, "P")
    picture.putpalette(colours.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", bits=8)
    write_bytes(path, stream.getvalue())


class Submission:
    """A folder of PNGs that is open for reading. FoldsegError names a PNG that is not valid."""

    needs_size = False
    has_all_images = True
    size: Size = None

    def __init__(self, path: Path, labels: LabelSet) -> None:
        self._path = require_folder(path)
        self._labels = with_values(labels, None)  # without colours: these PNGs hold raw ids

    @cached_property
    def files(self) -> dict[str, Path]:
        """Id -> PNG, sorted by id. Other files in the folder are logged."""
        return dict(sorted(list_files(self._path, MASKS).by_stem.items()))

    @property
    def names(self) -> list[str]:
        """Ids of the images."""
        return list(self.files)

    def read(self, name: str, size: tuple[int, int] | None) -> Mask:
        """Return the mask (H, W) uint8 of one image. `size`: (height, width) of the image, None if not known."""
        mask = read_mask(self.files[name], self._labels)
        if size is not None and mask.shape != size:
            raise FoldsegError(f"{self.files[name]}: is {mask.shape}, the image {size} (height, width)")
        return mask


def _write(settings: LabelPng, path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet, _: KnownImages) -> None:
    write(path, masks, with_values(labels, settings.values), settings.palette)


def _open(settings: LabelPng, path: Path, labels: LabelSet, _: KnownImages) -> Submission:
    return Submission(path, with_values(labels, settings.values))


FORMAT = Format(
    file_name="labels",
    description="a folder of PNGs",
    recognises=lambda path: find_content(path) in ("ids", "nothing"),
    may_overlap=lambda _: False,
    list_unwritable=lambda settings, labels: list_unwritable(labels, settings.values),
    has_scored_classes_alone=lambda *_: False,
    write=_write,
    open=_open,
)

"""Submissions as PNGs that are 255 where a class is, and 0 elsewhere.

One class is a folder of `<id>.png`. Several are a folder each, `<class>/<id>.png`.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.submissions import BinaryPng
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.data.listing import MASKS, list_files
from foldseg.data.mask_files import read_mask
from foldseg.data.rle import Rle
from foldseg.data.samples import require_folder, shorten
from foldseg.errors import FoldsegError
from foldseg.submission.class_masks import choose_classes, list_hidden_classes, merge_masks, split_mask
from foldseg.submission.interface import Format, KnownImages, MaskOrRles, Size
from foldseg.submission.label_png import write_png
from foldseg.submission.picture_folders import find_content, remove_others

_BINARY = LabelSet((LabelClass("class", (255, 255, 255), (255,)),), overlapping=True)


def _write(
    settings: BinaryPng, path: Path, masks: Iterable[tuple[str, MaskOrRles]], labels: LabelSet, images: KnownImages
) -> None:
    indices = choose_classes(labels, settings.classes)
    folders = _find_folders(path, [labels.names[index] for index in indices])
    written = set()
    for name, mask in masks:
        planes = split_mask(mask, labels, indices, images.sizes.get(name))
        for folder, plane in zip(folders, planes, strict=True):
            write_png(folder / f"{name}.png", plane * np.uint8(255))
            written.add(folder / f"{name}.png")
    for folder in folders:
        remove_others(folder, "*.png", written)


def _find_folders(path: Path, names: list[str]) -> list[Path]:
    """Return the folder of each class."""
    return [path] if len(names) == 1 else [path / name for name in names]


class Submission:
    """Such a folder, open for reading. FoldsegError names a PNG that is not valid."""

    needs_size = False
    has_all_images = True
    size: Size = None

    def __init__(self, settings: BinaryPng, path: Path, labels: LabelSet) -> None:
        self._labels = labels
        self._indices = choose_classes(labels, settings.classes)
        folders = _find_folders(path, [labels.names[index] for index in self._indices])
        self._folders = [require_folder(folder) for folder in folders]

    @cached_property
    def _files(self) -> list[dict[str, Path]]:
        """Of each class: id -> PNG. FoldsegError if a class lacks an image that another one has."""
        files = [list_files(folder, MASKS).by_stem for folder in self._folders]
        for folder, of_class in zip(self._folders, files, strict=True):
            if missing := sorted(set().union(*files) - set(of_class)):
                raise FoldsegError(f"{folder}: lacks {len(missing)} image(s) that others have: {shorten(missing)}")
        return files

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""
        return sorted(self._files[0])

    def read(self, name: str, size: tuple[int, int] | None) -> list[Rle]:
        """Return the RLE of every class. `size`: (height, width) of the image, None if not known."""
        masks: dict[int, NDArray[np.bool_]] = {}
        shape = size
        for index, files in zip(self._indices, self._files, strict=True):
            mask = read_mask(files[name], _BINARY)
            shape = shape or (mask.shape[0], mask.shape[1])
            if mask.shape != shape:
                raise FoldsegError(f"{files[name]}: is {mask.shape}, the image {shape} (height, width)")
            masks[index] = mask == 1
        assert shape is not None
        return merge_masks(masks, self._labels, shape)


def _has_scored_classes_alone(settings: BinaryPng, labels: LabelSet) -> bool:
    return bool(list_hidden_classes(labels, choose_classes(labels, settings.classes)))


FORMAT = Format(
    file_name="masks",
    description="a folder of folders of PNGs",
    recognises=lambda path: find_content(path) == "folders",
    may_overlap=lambda _: True,
    list_unwritable=lambda *_: [],
    has_scored_classes_alone=_has_scored_classes_alone,
    write=_write,
    open=lambda settings, path, labels, _: Submission(settings, path, labels),
)

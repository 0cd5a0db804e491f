"""Submissions as a folder of NumPy files, `<id>.npy`: ids (H, W), or planes (classes, H, W) of 0 and 1."""

import io
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.submissions import Npy
from foldseg.data.labels import LARGEST_ID, LabelSet
from foldseg.data.listing import list_files
from foldseg.data.samples import require_folder
from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.inputs import read_bytes
from foldseg.submission.class_masks import choose_classes, list_hidden_classes, merge_masks, split_mask
from foldseg.submission.interface import Format, KnownImages, MaskOrRles, Size
from foldseg.submission.picture_folders import find_content, remove_others
from foldseg.submission.written_ids import list_unwritable, with_values

SUFFIX = ".npy"


def _write(
    settings: Npy, path: Path, masks: Iterable[tuple[str, MaskOrRles]], labels: LabelSet, images: KnownImages
) -> None:
    indices = choose_classes(labels, settings.classes) if settings.planes else []
    with_ids = labels if settings.planes else with_values(labels, settings.values)
    written = set()
    for name, mask in masks:
        array: NDArray[Any]
        if settings.planes:
            array = np.stack(split_mask(mask, labels, indices, images.sizes.get(name))).view(np.uint8)
        else:
            assert isinstance(mask, np.ndarray)
            array = with_ids.decode(mask)
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        write_bytes(path / f"{name}{SUFFIX}", stream.getvalue())
        written.add(path / f"{name}{SUFFIX}")
    remove_others(path, f"*{SUFFIX}", written)


class Submission:
    """Such a folder, open for reading. FoldsegError names a file that is not valid."""

    needs_size = False
    has_all_images = True
    size: Size = None

    def __init__(self, settings: Npy, path: Path, labels: LabelSet) -> None:
        self._path, self._settings, self._labels = require_folder(path), settings, labels

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Id -> file."""
        return list_files(self._path, (SUFFIX,)).by_stem

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""
        return sorted(self._files)

    def read(self, name: str, size: tuple[int, int] | None) -> MaskOrRles:
        """Return the mask (H, W) uint8 of one image or, of planes, the RLE of every class.

        `size`: (height, width) of the image, None if not known.
        """
        path = self._files[name]
        array = _load(path)
        shape: tuple[int, ...] = array.shape[-2:]
        if size is not None and shape != size:
            raise FoldsegError(f"{path}: is {shape}, the image {size} (height, width)")
        return self._read_planes(path, array) if self._settings.planes else self._read_ids(path, array)

    def _read_ids(self, path: Path, array: NDArray[Any]) -> MaskOrRles:
        if array.ndim != 2:
            raise FoldsegError(f"{path}: has the shape {array.shape}; expected ids (H, W), or planes: true")
        if array.min(initial=0) < 0 or array.max(initial=0) > LARGEST_ID:
            raise FoldsegError(f"{path}: holds ids from {array.min()} to {array.max()}; they are 0 to {LARGEST_ID}")
        labels = with_values(self._labels, self._settings.values)
        try:
            return labels.encode(array.astype(np.uint8) if array.max(initial=0) < 256 else array.astype(np.uint16))
        except ValueError as error:
            raise FoldsegError(f"{path}: {error}") from None

    def _read_planes(self, path: Path, array: NDArray[Any]) -> MaskOrRles:
        indices = choose_classes(self._labels, self._settings.classes)
        if array.ndim != 3 or len(array) != len(indices):
            names = ", ".join(self._labels.names[index] for index in indices)
            raise FoldsegError(f"{path}: has the shape {array.shape}; expected ({len(indices)}, H, W), of {names}")
        if not ((array == 0) | (array == 1)).all():
            raise FoldsegError(f"{path}: holds other values than 0 and 1 in a plane")
        masks = {index: plane == 1 for index, plane in zip(indices, array, strict=True)}
        return merge_masks(masks, self._labels, (array.shape[1], array.shape[2]))


def _load(path: Path) -> NDArray[Any]:
    """Return the array of a file. FoldsegError unless it holds whole numbers in 2 or 3 dimensions."""
    try:
        array = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FoldsegError(f"{path}: is no NumPy file, or is damaged: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biu" or array.ndim not in (2, 3):
        what = f"{array.dtype} of the shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise FoldsegError(f"{path}: holds {what}; expected whole numbers (H, W) or (classes, H, W)")
    return array


def _has_scored_classes_alone(settings: Npy, labels: LabelSet) -> bool:
    return settings.planes and bool(list_hidden_classes(labels, choose_classes(labels, settings.classes)))


FORMAT = Format(
    file_name="arrays",
    description="a folder of .npy files",
    recognises=lambda path: find_content(path) == "arrays",
    may_overlap=lambda settings: settings.planes,
    list_unwritable=lambda settings, labels: [] if settings.planes else list_unwritable(labels, settings.values),
    has_scored_classes_alone=_has_scored_classes_alone,
    write=_write,
    open=lambda settings, path, labels, _: Submission(settings, path, labels),
)

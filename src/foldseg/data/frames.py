"""Decoded images with their masks, by index: of one data set, or of several one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config.schema import Pictures
from foldseg.data.counting import count_masks
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.data.mask_files import fit_size, read_index_mask, read_mask
from foldseg.data.reading import AS_SHOWN, describe_size_difference, read_image, read_image_header
from foldseg.errors import FoldsegError


class Frames(Protocol):
    """Images with their masks, by index.

    What `read` returns may be a view of a file that is mapped into memory: do not write to it.
    """

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the frames, in order of the index."""
        ...

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Return image (H, W, channels) uint8 (three: RGB) and mask (H, W) uint8, void 255. The mask may be None."""
        ...

    def count_class_pixels(self) -> NDArray[np.int64]:
        """Return the pixels of every class in every mask: (frames, classes + 1) int64, void last."""
        ...


@dataclass(frozen=True)
class FileFrames:
    """Frames that are decoded each time they are read.

    `labels`: the classes of the masks; None if masks are not read. `encoded`: the mask files hold class indices of
    `labels`, 255 for void, instead of the data set's raw ids. `pictures`: the settings `data.pictures`.
    """

    ids: tuple[str, ...]
    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    labels: LabelSet | None
    encoded: bool = False
    pictures: Pictures = AS_SHOWN

    @staticmethod
    def of(
        table: pd.DataFrame,
        root: Path,
        labels: LabelSet | None,
        encoded: bool = False,
        pictures: Pictures = AS_SHOWN,
    ) -> "FileFrames":
        """Return the frames of a samples table whose paths are relative to `root`."""
        masks = tuple(root / str(mask) if mask else None for mask in table["mask"])
        images = tuple(root / str(image) for image in table["image"])
        return FileFrames(tuple(str(name) for name in table["id"]), images, masks, labels, encoded, pictures)

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Decode one frame. FoldsegError for a damaged file, and for a mask of another size than its image."""
        path, mask_path = self.images[index], self.masks[index]
        image, mask = read_image(path, self.pictures), self._read_mask(mask_path)
        if mask is not None:
            mask = fit_size(mask, image.shape[:2], self.pictures)
        if mask is not None and image.shape[:2] != mask.shape:
            orientation = read_image_header(path).orientation
            raise FoldsegError(describe_size_difference(mask_path, mask.shape, path, image.shape[:2], orientation))
        return image, mask

    def count_class_pixels(self) -> NDArray[np.int64]:
        """Count the pixels of every class in every mask: (frames, classes + 1) int64, void last. See `count_masks`."""
        assert self.labels is not None
        return count_masks(self.masks, self.labels, self.pictures, self.encoded)

    def _read_mask(self, path: Path | None) -> Mask | None:
        if path is None or self.labels is None:
            return None
        if self.encoded:
            return read_index_mask(path, self.labels, self.pictures)
        return read_mask(path, self.labels, self.pictures)


@dataclass(frozen=True)
class JoinedFrames:
    """The frames of several parts, one after the other."""

    parts: tuple[Frames, ...]

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the frames, in order of the index."""
        return [name for part in self.parts for name in part.ids]

    @cached_property
    def _places(self) -> list[tuple[Frames, int]]:
        """The part of each frame, and the frame's index within it."""
        return [(part, index) for part in self.parts for index in range(len(part.ids))]

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Read one frame of one of the parts."""
        part, place = self._places[index]
        return part.read(place)

    def count_class_pixels(self) -> NDArray[np.int64]:
        """Return the pixels of every class in every mask: (frames, classes + 1) int64, void last."""
        return np.concatenate([part.count_class_pixels() for part in self.parts])

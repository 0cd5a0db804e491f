"""Decoded frames by index: from the files, and from several places one after the other."""

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
from foldseg.data.reading import (
    AS_SHOWN,
    image_header,
    read_image,
    read_index_mask,
    read_mask,
    sizes_differ,
)
from foldseg.errors import FoldsegError


class Frames(Protocol):
    """Images with their masks. `read` may return views of a file that is mapped into memory: do not write to them."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids, in order of the index."""
        ...

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Return image (H, W, 3) uint8 RGB and mask (H, W) uint8, void 255; None where there is no mask."""
        ...

    def class_pixels(self) -> NDArray[np.int64]:
        """Pixels of every class in every mask: (frames, classes + 1), void last."""
        ...


@dataclass(frozen=True)
class FileFrames:
    """Frames that are decoded whenever they are read. Without `labels` masks are not read.

    `encoded`: the mask files hold class indices of `labels`, 255 for void, instead of the data set's raw ids.
    `pictures`: how files are read, `data.pictures`.
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
        """Decode one frame. FoldsegError for a damaged file and for a mask whose size is not its image's."""
        image, mask = read_image(self.images[index], self.pictures), self._read_mask(index)
        if mask is not None and image.shape[:2] != mask.shape:
            path, sizes = self.images[index], (mask.shape, image.shape[:2])
            raise FoldsegError(
                sizes_differ(self.masks[index], sizes[0], path, sizes[1], image_header(path).orientation)
            )
        return image, mask

    def class_pixels(self) -> NDArray[np.int64]:
        """Count the pixels of every mask: (frames, classes + 1), void last. See `count_masks`."""
        assert self.labels is not None
        return count_masks(self.masks, self.labels, self.pictures, self.encoded)

    def _read_mask(self, index: int) -> Mask | None:
        path = self.masks[index]
        if path is None or self.labels is None:
            return None
        if self.encoded:
            return read_index_mask(path, len(self.labels), self.pictures)
        return read_mask(path, self.labels, self.pictures)


@dataclass(frozen=True)
class JoinedFrames:
    """The frames of several places, one after the other."""

    parts: tuple[Frames, ...]

    @cached_property
    def ids(self) -> list[str]:
        """Ids, in order of the index."""
        return [name for part in self.parts for name in part.ids]

    @cached_property
    def _places(self) -> list[tuple[Frames, int]]:
        return [(part, index) for part in self.parts for index in range(len(part.ids))]

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Read one frame of one of the parts."""
        part, place = self._places[index]
        return part.read(place)

    def class_pixels(self) -> NDArray[np.int64]:
        """Pixels of every class in every mask: (frames, classes + 1), void last."""
        return np.concatenate([part.class_pixels() for part in self.parts])

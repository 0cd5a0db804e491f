"""A CSV of run-length strings that is open for reading: a submission, or the truth of a contest."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.submissions import RunLength
from foldseg.data.labels import LabelSet
from foldseg.data.rle import Rle
from foldseg.data.rle_text import RleDialect, decode_text, is_empty_text
from foldseg.errors import FoldsegError, short_name
from foldseg.submission.class_masks import merge_masks
from foldseg.submission.csv_cells import read_cells
from foldseg.submission.interface import KnownImages, Size
from foldseg.submission.run_length_rows import ImageNames, find_columns, list_contest_classes, match_rows


def dialect_of(settings: RunLength) -> RleDialect:
    """Return how the contest writes runs."""
    return RleDialect(settings.direction == "rows", settings.base, settings.relative)


class Submission:
    """Such a file. Several rows of one image and class are one mask: their union. FoldsegError names a wrong row."""

    needs_size: bool

    def __init__(self, settings: RunLength, path: Path, labels: LabelSet, images: KnownImages) -> None:
        self._settings, self._path, self._labels = settings, path, labels
        self.size: Size = settings.size
        self.needs_size = settings.size is None
        cells = read_cells(path)
        columns = find_columns(cells.header, settings.columns, path)
        classes = list_contest_classes(settings, labels)
        self._indices = list(classes.values())
        rows = match_rows(cells, columns, classes, ImageNames(images.files, images.files), path)
        self._texts: dict[str, dict[int, dict[int, str]]] = {}
        self.has_all_images = False
        runs = cells.values(columns.runs)
        for number, (image, index, text) in enumerate(zip(rows.images, rows.classes, runs, strict=True), 1):
            of_class = self._texts.setdefault(image, {}).setdefault(index, {})
            if is_empty_text(text) or text == (settings.empty or "").strip():
                self.has_all_images = True  # the file also has rows of masks without pixels
            else:
                of_class[number] = text

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""
        return sorted(self._texts)

    def texts_of(self, name: str, index: int) -> list[str]:
        """Return the run-length strings of an image and class, in the order of their rows."""
        return list(self._texts.get(name, {}).get(index, {}).values())

    def read(self, name: str, size: tuple[int, int] | None) -> list[Rle]:
        """Return the RLE of every class of an image. `size`: (height, width) of the image.

        If the settings have a size, the masks are of that one.
        """
        size = self.size or size
        if size is None:
            raise FoldsegError(
                f"{self._path}: how large is the image {short_name(name)}? Give --size WIDTHxHEIGHT, or the data set"
            )
        masks = {index: self._draw(self._texts.get(name, {}).get(index, {}), name, size) for index in self._indices}
        return merge_masks(masks, self._labels, size)

    def _draw(self, texts: Mapping[int, str], name: str, size: tuple[int, int]) -> NDArray[np.bool_]:
        union = np.zeros(size, bool)
        for number, text in texts.items():
            try:
                mask = decode_text(text, size, dialect_of(self._settings))
            except ValueError as error:
                raise FoldsegError(
                    f"{self._path}: row {number} ({short_name(name)}) {error}; runs are read "
                    f"{dialect_of(self._settings)} (direction, base and relative of the submission say how)"
                ) from None
            union = mask if len(texts) == 1 else union | mask
        return union

"""One table, a row per image: `b,2,3,0*4 1*2` is 2 rows and 3 columns of raw id 0, but for the last two pixels."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from foldseg.data.labels import LabelSet, Mask
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.inputs import read_csv
from foldseg.submission.interface import Format, Size


def write(path: Path, masks: Iterable[tuple[str, Mask]], labels: LabelSet) -> None:
    """Write class indices (H, W) uint8 as runs of raw ids."""
    lines = ["id,height,width,runs"]
    for name, mask in masks:
        ids = labels.decode(mask).ravel().astype(np.int64)
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        lengths = np.diff(starts, append=ids.size)
        runs = " ".join(f"{ids[start]}*{length}" for start, length in zip(starts, lengths, strict=True))
        lines.append(f"{name},{mask.shape[0]},{mask.shape[1]},{runs}")
    write_text(path, "\n".join(lines) + "\n")


class Submission:
    """Such a file, open for reading."""

    needs_size = False
    has_all_images = True
    size: Size = None

    def __init__(self, path: Path, labels: LabelSet) -> None:
        self._labels, self._path = labels, path
        self._rows = {row.id: row for row in read_csv(path).itertuples()}

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""
        return sorted(self._rows)

    def read(self, name: str, size: Size) -> Mask:
        """Class indices (H, W) uint8 of one image."""
        row = self._rows[name]
        shape = int(row.height), int(row.width)
        if size is not None and shape != size:
            raise FoldsegError(f"{self._path}: {name} is {shape}, the image {size} (height, width)")
        pairs = [run.split("*") for run in row.runs.split()]
        ids = np.repeat([int(value) for value, _ in pairs], [int(length) for _, length in pairs])
        return self._labels.encode(ids.astype(np.uint8).reshape(shape))


FORMAT = Format(
    file_name="submission.runs",
    description="a .runs file",
    recognises=lambda path: path.suffix == ".runs" and path.is_file(),
    may_overlap=lambda _: False,
    list_unwritable=lambda _, labels: [label.name for label in labels.classes if label.written_id is None],
    has_scored_classes_alone=lambda *_: False,
    write=lambda _, path, masks, labels, __: write(path, masks, labels),
    open=lambda _, path, labels, __: Submission(path, labels),
)

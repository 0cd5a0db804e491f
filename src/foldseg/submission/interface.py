"""What every submission format states, and what every open submission offers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.rle import Rle

Size = tuple[int, int] | None
"""(height, width), or None where it is not known."""

Sizes = Mapping[str, tuple[int, int]]
"""Id -> (height, width)."""


class Submission(Protocol):
    """A submission that is open for reading. FoldsegError names what is not valid."""

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""

    def read(self, name: str, size: tuple[int, int] | None) -> Mask | list[Rle]:
        """Return one image: class indices (H, W) uint8, or the RLE of every class.

        `size` is (height, width) of the image, or None where that is not known.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """A submission format. A format that does not state everything is an error at import."""

    file_name: str
    """Name of the file or folder within the submission's folder."""
    description: str
    """What an existing submission is, in a few words: "a folder of PNGs"."""
    recognises: Callable[[Path], bool]
    """Whether an existing file or folder is a submission of this format. No other format may recognise it, too."""
    may_overlap: bool
    """Whether a pixel may belong to several categories. Then `write` also takes the RLE of every class."""
    has_merged_classes: bool
    """Whether a class that stands for several raw ids can be written."""
    has_scored_classes_alone: bool
    """Whether only the scored classes are written."""
    write: Callable[[Path, Iterable[tuple[str, Any]], LabelSet], None]
    """Write (id, class indices (H, W) uint8) pairs, sorted by id, image by image. `LabelSet.decode` gives raw ids."""
    open: Callable[[Path, LabelSet], Submission]
    """Open an existing submission for reading.

    The label set may be another one than the submission was written with: an ensemble writes the classes of its
    members, `foldseg score` reads those of the data configuration. So write raw ids or class names, not class indices.
    """

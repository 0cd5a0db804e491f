"""What every submission format states, and what every open submission offers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from foldseg.data.labels import LabelSet, Mask
from foldseg.data.rle import Rle

Size = tuple[int, int] | None
"""(height, width), or None where it is not known."""

Sizes = Mapping[str, tuple[int, int]]
"""Id -> (height, width)."""

MaskOrRles = Mask | list[Rle]
"""What a submission holds of an image: a mask (H, W) uint8 of class indices, or of class bits if the classes of the
label set overlap; or the RLE of every class."""


@dataclass(frozen=True)
class KnownImages:
    """What is known of the images of a submission. A submission can be read without."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """Id -> file of the image. Formats whose ids are names of files find our ids by them."""
    sizes: Sizes = field(default_factory=dict)
    """Id -> (height, width)."""


NO_IMAGES = KnownImages()


class Submission(Protocol):
    """A submission that is open for reading. FoldsegError names what is not valid."""

    @property
    def needs_size(self) -> bool:
        """Whether `read` needs the size of an image."""

    @property
    def has_all_images(self) -> bool:
        """Whether an image that is not in `names` is missing. Otherwise its masks are empty."""

    @property
    def size(self) -> Size:
        """(height, width) of all masks if the contest wants another size than that of the images. Otherwise None."""

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""

    def read(self, name: str, size: tuple[int, int] | None) -> MaskOrRles:
        """Return one image: a mask (H, W) uint8, or the RLE of every class.

        `size` is (height, width) of the image, or None where that is not known. Where the submission has a `size` of
        its own, the masks are of that one.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """A submission format. A format that does not state everything is an error at import.

    All functions see the settings of the kind (`config/schema/submissions.py`).
    """

    file_name: str
    """Name of the file or folder within the submission's folder."""
    description: str
    """What an existing submission is, in a few words: "a folder of PNGs"."""
    recognises: Callable[[Path], bool]
    """Whether an existing file or folder is a submission of this format. No other format may recognise it, too."""
    may_overlap: Callable[[Any], bool]
    """Whether a pixel may belong to several classes. Then `write` also takes the RLE of every class."""
    list_unwritable: Callable[[Any, LabelSet], list[str]]
    """Return the names of classes that cannot be written, e.g. because they stand for several raw ids."""
    has_scored_classes_alone: Callable[[Any, LabelSet], bool]
    """Whether the file says where the scored classes are, but not where each other one is."""
    check: Callable[[Any, LabelSet, KnownImages], None] = lambda *_: None
    """Raise FoldsegError, before any work, for what can be seen to be wrong without predictions."""
    write: Callable[[Any, Path, Iterable[tuple[str, Any]], LabelSet, KnownImages], None]
    """Write (id, `MaskOrRles`) pairs, sorted by id, image by image. `LabelSet.decode` gives raw ids."""
    open: Callable[[Any, Path, LabelSet, KnownImages], Submission]
    """Open an existing submission for reading.

    The label set may be another one than the submission was written with: an ensemble writes the classes of its
    members, `foldseg score` reads those of the data configuration. So write raw ids or class names, not class indices.
    """

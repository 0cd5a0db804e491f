"""Submission formats by name. To add one: a module with `NAME`, `write` and `Submission`, and a line here."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import SubmissionName
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.runs import Runs
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.submission import label_png, signate_json

Size = tuple[int, int] | None
"""(height, width), None where it is not known."""

Sizes = Mapping[str, tuple[int, int]]
"""Id -> (height, width)."""


class Submission(Protocol):
    """A submission that is open for reading. FoldsegError names whatever is not valid."""

    @property
    def names(self) -> list[str]:
        """Ids of the images, sorted."""

    def read(self, name: str, size: tuple[int, int] | None) -> Mask | list[Runs]:
        """One image: class indices (H, W) uint8, or the runs of every class.

        `size` is (height, width) of the image, None where that is not known.
        """


class Format(Protocol):
    """What a module of a format has."""

    NAME: str
    """Name of the file or folder within the submission's folder."""

    @property
    def Submission(self) -> Callable[[Path, LabelSet], Submission]:  # noqa: N802  # modules have a class of that name
        """Open an existing submission."""

    def write(self, path: Path, masks: Iterable[tuple[str, Any]], labels: LabelSet) -> None:
        """Write (id, class indices (H, W) uint8) pairs, sorted by id, image by image.

        A format in which classes may overlap also takes the runs of every class instead.
        """


FORMATS: dict[str, Format] = {"signate_json": signate_json, "label_png": label_png}
check_entries(FORMATS, SubmissionName, "submission/formats.py: FORMATS")


def format_of(path: Path) -> Format:
    """Return the format of an existing submission: a folder holds PNGs, a .json file the AI Edge Contest's."""
    if path.is_dir():
        return FORMATS["label_png"]
    if path.suffix == ".json" and path.is_file():
        return FORMATS["signate_json"]
    raise FoldsegError(f"{path}: is no submission; expected a folder of PNGs or a .json file")


def open_submission(path: Path, labels: LabelSet) -> Submission:
    """Open a submission for reading."""
    return format_of(path).Submission(path, labels)


def missing_ids(path: Path, have: Collection[str], wanted: Collection[str], allow_missing: bool = False) -> list[str]:
    """Return the ids that a submission lacks. FoldsegError when there are any, unless allowed, or some too many."""
    missing, unknown = sorted(set(wanted) - set(have)), sorted(set(have) - set(wanted))
    if unknown or (missing and not allow_missing):
        raise FoldsegError(
            f"{path}: {len(missing)} image(s) are missing ({shorten(missing)}), "
            f"{len(unknown)} are not asked for ({shorten(unknown)})"
        )
    return missing


def check_submission(path: Path, sizes: Sizes, labels: LabelSet) -> None:
    """Read a submission back: FoldsegError unless it holds exactly the images of `sizes`, all of them valid."""
    submission = open_submission(path, labels)
    missing_ids(path, submission.names, sizes)
    for name, size in sizes.items():
        submission.read(name, size)

"""Submission formats by their settings.

To add one: a class in `config/schema/submissions.py`, a module with a `Format`, and a line here.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.submissions import (
    BinaryPng,
    ColourPng,
    LabelPng,
    Npy,
    RunLength,
    SignateJson,
    SubmissionKind,
)
from foldseg.data.labels import LabelSet
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.submission import binary_png, colour_png, label_png, npy, run_length, signate_json
from foldseg.submission.interface import NO_IMAGES, Format, KnownImages, Sizes, Submission

FORMATS: dict[type[SubmissionKind], Format] = {
    SignateJson: signate_json.FORMAT,
    LabelPng: label_png.FORMAT,
    RunLength: run_length.FORMAT,
    ColourPng: colour_png.FORMAT,
    BinaryPng: binary_png.FORMAT,
    Npy: npy.FORMAT,
}
"""Class of the settings -> what the format states and can do."""
check_entries(FORMATS, SubmissionKind, "submission/formats.py: FORMATS")


def find_kind(path: Path) -> type[SubmissionKind]:
    """Return the kind of an existing submission. FoldsegError unless exactly one format recognises it.

    The error for the folder of an ensemble names the submission in it.
    """
    if is_absent(path):
        raise FoldsegError(f"{path}: no such file or folder")
    if SubmissionFolder(path).is_finished:
        inner = [str(path / kind.file_name) for kind in FORMATS.values() if kind.recognises(path / kind.file_name)]
        if inner:
            raise FoldsegError(f"{path}: is the folder of an ensemble; its submission is {' or '.join(inner)}")
    matches = [kind for kind, entry in FORMATS.items() if entry.recognises(path)]
    if not matches:
        expected = " or ".join(kind.description for kind in FORMATS.values())
        raise FoldsegError(f"{path}: is no submission; expected {expected}")
    if len(matches) > 1:
        names = ", ".join(kind.kind_name() for kind in matches)
        raise FoldsegError(
            f"{path}: may be a submission of any of the formats {names}; only one of them may recognise "
            "it (`recognises` in submission/)"
        )
    return matches[0]


def find_settings(path: Path) -> SubmissionKind:
    """Return the settings of an existing submission: those of its ensemble, or the defaults of its kind.

    An ensemble keeps its settings in the folder of its submission.
    """
    if is_absent(path):
        raise FoldsegError(f"{path}: no such file or folder")
    folder = SubmissionFolder(path.absolute().parent)
    if folder.is_finished and folder.has_settings:
        settings = folder.read_settings().submission
        if FORMATS[type(settings)].file_name == path.name:
            return settings
    return _defaults(find_kind(path))


def _defaults(kind: type[SubmissionKind]) -> SubmissionKind:
    return kind.model_validate({})


def check_overlap(settings: SubmissionKind, may_overlap: bool) -> None:
    """Raise FoldsegError if classes may overlap, but the format gives every pixel one class."""
    if may_overlap and not FORMATS[type(settings)].may_overlap(settings):
        raise FoldsegError(
            f"submission, steps: submission {settings.kind} gives every pixel one class: use "
            f"{{kind: thresholds, categories: exclusive}}, or hand in {_name_overlapping_kinds()}"
        )


def check_classes(settings: SubmissionKind, labels: LabelSet) -> None:
    """Raise FoldsegError if the format cannot express a class of the label set."""
    if labels.overlapping and len(labels) > 1 and not FORMATS[type(settings)].may_overlap(settings):
        raise FoldsegError(
            f"submission: {settings.kind} gives every pixel one class, and the classes of this data set overlap; hand "
            f"in {_name_overlapping_kinds()}"
        )
    unwritable = FORMATS[type(settings)].list_unwritable(settings, labels)
    if not unwritable:
        return
    others = _name_kinds(kind for kind, entry in FORMATS.items() if _can_write(_defaults(kind), entry, labels))
    merged = [label.name for label in labels.classes if label.written_id is None]
    if unwritable[0] in merged:
        raise FoldsegError(
            f"submission: {settings.kind} cannot say {unwritable[0]}, which stands for several classes of the data "
            f"set; blend runs of data.labels=all as_trained, or hand in {others}"
        )
    raise FoldsegError(f"submission: {settings.kind} cannot tell {' and '.join(unwritable)} apart; hand in {others}")


def _can_write(settings: SubmissionKind, entry: Format, labels: LabelSet) -> bool:
    """Whether a format can express all classes of a label set with its default settings."""
    try:
        return not entry.list_unwritable(settings, labels)
    except FoldsegError:
        return False


def _name_overlapping_kinds() -> str:
    return _name_kinds(kind for kind, entry in FORMATS.items() if entry.may_overlap(_defaults(kind)))


def _name_kinds(kinds: Iterable[type[SubmissionKind]]) -> str:
    return " or ".join(kind.kind_name() for kind in kinds)


def open_submission(
    path: Path, labels: LabelSet, settings: SubmissionKind | None = None, images: KnownImages = NO_IMAGES
) -> Submission:
    """Open a submission for reading. `settings`: those of its format; None: they are found, see `find_settings`."""
    settings = find_settings(path) if settings is None else settings
    return FORMATS[type(settings)].open(settings, path, labels, images)


def find_missing_ids(
    path: Path, present: Collection[str], expected: Collection[str], allow_missing: bool = False
) -> list[str]:
    """Return the expected ids that a submission does not have, sorted.

    FoldsegError if it has ids that are not expected, or, without `allow_missing`, if any are missing.
    """
    missing, unknown = sorted(set(expected) - set(present)), sorted(set(present) - set(expected))
    if unknown or (missing and not allow_missing):
        raise FoldsegError(
            f"{path}: {len(missing)} image(s) are missing ({shorten(missing)}), "
            f"{len(unknown)} are not asked for ({shorten(unknown)})"
        )
    return missing


def check_submission(
    path: Path,
    sizes: Sizes,
    labels: LabelSet,
    settings: SubmissionKind | None = None,
    images: KnownImages = NO_IMAGES,
) -> None:
    """Read a submission back. FoldsegError unless it holds exactly the images of `sizes`, and all are valid."""
    submission = open_submission(path, labels, settings, images)
    find_missing_ids(path, submission.names, sizes)
    for name, size in sizes.items():
        submission.read(name, size)

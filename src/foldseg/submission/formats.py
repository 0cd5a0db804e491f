"""Submission formats by name. To add one: a module with a `Format`, a line here, its name in `names.SubmissionName`."""

from collections.abc import Collection
from pathlib import Path

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import SubmissionName
from foldseg.data.labels import LabelSet
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.inputs import is_absent
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.submission import label_png, signate_json
from foldseg.submission.interface import Format, Sizes, Submission

FORMATS: dict[str, Format] = {"signate_json": signate_json.FORMAT, "label_png": label_png.FORMAT}
"""Name -> what the format states and can do."""
check_entries(FORMATS, SubmissionName, "submission/formats.py: FORMATS")


def format_of(path: Path) -> Format:
    """Return the format of an existing submission. FoldsegError unless exactly one format recognises it.

    The error for the folder of an ensemble names the submission in it.
    """
    if is_absent(path):
        raise FoldsegError(f"{path}: no such file or folder")
    if SubmissionFolder(path).is_finished:
        inner = [str(path / kind.file_name) for kind in FORMATS.values() if kind.recognises(path / kind.file_name)]
        if inner:
            raise FoldsegError(f"{path}: is the folder of an ensemble; its submission is {' or '.join(inner)}")
    matches = {name: kind for name, kind in FORMATS.items() if kind.recognises(path)}
    if not matches:
        expected = " or ".join(kind.description for kind in reversed(FORMATS.values()))
        raise FoldsegError(f"{path}: is no submission; expected {expected}")
    if len(matches) > 1:
        raise FoldsegError(
            f"{path}: may be a submission of any of the formats {', '.join(matches)}; only one of them may recognise "
            "it (`recognises` in submission/)"
        )
    return next(iter(matches.values()))


def check_overlap(name: SubmissionName, may_overlap: bool) -> None:
    """Raise FoldsegError if categories may overlap, but the format gives every pixel one class."""
    if may_overlap and not FORMATS[name].may_overlap:
        others = [other for other, kind in FORMATS.items() if kind.may_overlap]
        raise FoldsegError(
            f"submission, steps: submission {name} gives every pixel one class: use "
            f"{{kind: thresholds, categories: exclusive}}, or hand in {' or '.join(others)}"
        )


def check_classes(name: SubmissionName, labels: LabelSet) -> None:
    """Raise FoldsegError if the format cannot express a class of the label set."""
    merged = [label for label in labels.classes if label.written_id is None]
    if merged and not FORMATS[name].has_merged_classes:
        others = [other for other, kind in FORMATS.items() if kind.has_merged_classes]
        raise FoldsegError(
            f"submission: {name} cannot say {merged[0].name}, which stands for several classes of the data "
            f"set; blend runs of data.labels=all as_trained, or hand in {' or '.join(others)}"
        )


def open_submission(path: Path, labels: LabelSet) -> Submission:
    """Open a submission for reading."""
    return format_of(path).open(path, labels)


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


def check_submission(path: Path, sizes: Sizes, labels: LabelSet) -> None:
    """Read a submission back. FoldsegError unless it holds exactly the images of `sizes`, and all are valid."""
    submission = open_submission(path, labels)
    find_missing_ids(path, submission.names, sizes)
    for name, size in sizes.items():
        submission.read(name, size)

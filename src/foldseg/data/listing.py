"""Which files of a folder a command takes, and what it says of those that it does not."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.notices import say_once

logger = logging.getLogger(__name__)

NUMBER_FILES = (".npy", ".dcm", ".dicom")
"""Suffixes of files of numbers, which can be images but no masks."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", *NUMBER_FILES)
"""Suffixes of images that can be read, in any case."""

MASKS = (".png",)
"""Suffixes of masks, in any case. Lossy formats are left out, since they change classes."""

_OTHER_PICTURES = {
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jfif", ".jpe", ".ppm", ".pgm", ".pbm", ".tga", ".exr",
    ".hdr", ".dng", ".cr2", ".nef", ".arw", ".raw", ".svg", ".psd",
}  # fmt: skip
_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"}

SYSTEM, FOLDER, OTHER_KIND = "hidden or of the operating system", "a folder", "of another kind"
"""Reasons for which a file is passed over."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder: `files` are taken, sorted by name; `passed_over` maps a reason to the other names."""

    folder: Path
    files: list[Path]
    passed_over: dict[str, list[str]] = field(default_factory=dict)

    @property
    def by_stem(self) -> dict[str, Path]:
        """The file of each name without suffix. FoldsegError if two files have one name."""
        files = {file.stem: file for file in self.files}
        if len(files) < len(self.files):
            counts = Counter(file.stem for file in self.files)
            repeated = next(stem for stem, count in counts.items() if count > 1)
            names = [file.name for file in self.files if file.stem == repeated]
            surplus = len(self.files) - len(files)
            others = f" ({surplus} names are there more than once)" if surplus > 1 else ""
            raise FoldsegError(
                f"{self.folder}: {' and '.join(names)} have one name, {repeated}; remove or rename one of them{others}"
            )
        return files

    def only(self, suffixes: Sequence[str]) -> "Listing":
        """Return the listing with those files alone that end in one of `suffixes`."""
        files = [file for file in self.files if file.suffix.lower() in suffixes]
        return Listing(self.folder, files, self.passed_over)

    def require_all(self) -> None:
        """Raise FoldsegError if a picture or a folder was passed over, since a result of this folder would lack it."""
        other_files = self.passed_over.get(OTHER_KIND, [])
        pictures = [name for name in other_files if Path(name).suffix.lower() in _OTHER_PICTURES]
        missed = pictures + self.passed_over.get(FOLDER, [])
        if missed:
            raise FoldsegError(
                f"{self.folder}: {len(missed)} picture(s) or folder(s) would be left out: {shorten(missed)}; convert "
                f"pictures to one of {', '.join(PICTURES)}, or move what is not meant out of this folder"
            )


def list_files(
    folder: Path,
    suffixes: Sequence[str] = PICTURES,
    *,
    usual: str | None = None,
    deep: bool = False,
    without: Path | None = None,
) -> Listing:
    """Return the files of a folder that end in one of `suffixes`, in any case. Logs once which files are passed over.

    `usual`: the suffix of this data set; files with another one are logged. `deep`: folders within it are searched,
    too, except `without`. FoldsegError if the folder is missing or cannot be read.
    """
    listing = Listing(folder, [])
    _walk(folder, listing, tuple(suffixes), deep, without and without.resolve())
    listing.files.sort(key=lambda file: file.parts)
    for names in listing.passed_over.values():
        names.sort()
    unusual = [file.name for file in listing.files if usual is not None and file.suffix != usual]
    if unusual:
        say_once(
            f"{folder}: {len(unusual)} of {len(listing.files)} files are taken, too, although their names do not end "
            f"in {usual}: {shorten(unusual)}",
            level=logging.INFO,
        )
    if listing.passed_over:
        reasons = sorted(listing.passed_over.items())
        parts = [f"{len(names)} {reason} ({shorten(names, 2)})" for reason, names in reasons]
        level = logging.INFO if set(listing.passed_over) == {SYSTEM} else logging.WARNING
        say_once(f"{folder}: passed over are {', '.join(parts)}; taken are {', '.join(suffixes)}", level=level)
    return listing


def _walk(folder: Path, listing: Listing, suffixes: tuple[str, ...], deep: bool, without: Path | None) -> None:
    """Add the entries of a folder to a listing."""
    try:
        with os.scandir(folder) as entries:
            is_folder_of = {entry.name: _is_folder(entry) for entry in entries}
    except NotADirectoryError as error:
        raise FoldsegError(f"{folder}: is no folder") from error
    except FileNotFoundError as error:
        raise FoldsegError(f"{folder}: no such folder") from error
    except OSError as error:
        raise FoldsegError(f"{folder}: cannot be read: {error.strerror}") from error
    prefix = "" if folder == listing.folder else f"{folder.relative_to(listing.folder).as_posix()}/"
    for entry_name, is_folder in is_folder_of.items():
        entry, name = folder / entry_name, prefix + entry_name
        if entry_name.startswith(".") or entry_name.lower() in _SYSTEM:
            listing.passed_over.setdefault(SYSTEM, []).append(name)
        elif is_folder and deep and not entry.is_symlink():  # links are not followed: one may lead back to its parent
            if without is None or not entry.resolve().is_relative_to(without):
                _walk(entry, listing, suffixes, deep, without)
        elif is_folder:
            listing.passed_over.setdefault(FOLDER, []).append(f"{name}/")
        elif entry.suffix.lower() not in suffixes:
            listing.passed_over.setdefault(OTHER_KIND, []).append(name)
        else:  # this may be a pipe or a broken link; whatever reads it raises an error
            listing.files.append(entry)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder, or a link to one. Mostly `scandir` has read that already, so no file is asked."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_dir())


def pair_by_stem(images: Listing, masks: Listing) -> list[tuple[Path, Path]]:
    """Pair images with masks of the same stem. FoldsegError names images without mask and masks without image."""
    by_image, by_mask = images.by_stem, masks.by_stem
    unpaired = [image for stem, image in by_image.items() if stem not in by_mask]
    if unpaired:
        of_other_kind = masks.passed_over.get(OTHER_KIND, [])
        same_stem = [name for name in of_other_kind if Path(name).stem == unpaired[0].stem]
        hint = f"; {masks.folder / same_stem[0]} is no {' or '.join(MASKS)}" if same_stem else ""
        raise FoldsegError(f"{unpaired[0]}: has no mask in {masks.folder} ({len(unpaired)} such image(s)){hint}")
    spare = sorted(set(by_mask) - set(by_image))
    if spare:
        raise FoldsegError(f"{by_mask[spare[0]]}: is a mask without an image ({len(spare)} such mask(s))")
    return [(image, by_mask[stem]) for stem, image in by_image.items()]

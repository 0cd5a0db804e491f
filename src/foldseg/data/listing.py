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

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Suffixes of pictures that can be read, in any case."""

MASKS = (".png",)
"""Suffixes of masks, in any case: a mask that was compressed with losses is none."""

_OTHER_PICTURES = {
    ".gif", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jfif", ".jpe", ".ppm", ".pgm", ".pbm", ".tga", ".exr",
    ".hdr", ".dng", ".cr2", ".nef", ".arw", ".raw", ".svg", ".psd",
}  # fmt: skip
_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"}

SYSTEM, FOLDER, OTHER_KIND = "hidden or of the operating system", "a folder", "of another kind"
"""Why a file is passed over."""


@dataclass(frozen=True)
class Listing:
    """`files` are taken, sorted by name; `passed_over` maps a reason to the names of the others."""

    folder: Path
    files: list[Path]
    passed_over: dict[str, list[str]] = field(default_factory=dict)

    @property
    def by_stem(self) -> dict[str, Path]:
        """Name without suffix -> file. FoldsegError when two files have one."""
        files = {file.stem: file for file in self.files}
        if len(files) < len(self.files):
            double = next(stem for stem, number in Counter(file.stem for file in self.files).items() if number > 1)
            both = [file.name for file in self.files if file.stem == double]
            more = len(self.files) - len(files)
            raise FoldsegError(
                f"{self.folder}: {' and '.join(both)} have one name, {double}; remove or rename one of them"
                + (f" ({more} names are there more than once)" if more > 1 else "")
            )
        return files

    def only(self, suffixes: Sequence[str]) -> "Listing":
        """Return the files of some of the suffixes."""
        return Listing(self.folder, [file for file in self.files if file.suffix.lower() in suffixes], self.passed_over)

    def require_all(self) -> None:
        """FoldsegError if a picture, or a folder, was passed over: what is made of this folder would lack it."""
        pictures = [name for name in self.passed_over.get(OTHER_KIND, []) if _suffix(name) in _OTHER_PICTURES]
        lacking = pictures + self.passed_over.get(FOLDER, [])
        if lacking:
            raise FoldsegError(
                f"{self.folder}: {len(lacking)} picture(s) or folder(s) would be left out: {shorten(lacking)}; convert "
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
    """Return the files of a folder that end in one of `suffixes`, in any case; say once what is passed over.

    `usual`: the suffix of this data set; it is said which files have another one. `deep`: folders in it are searched,
    too, but not `without`. FoldsegError when the folder is missing or cannot be read.
    """
    found = Listing(folder, [])
    _walk(folder, found, tuple(suffixes), deep, without and without.resolve())
    found.files.sort(key=lambda file: file.parts)
    for names in found.passed_over.values():
        names.sort()
    odd = [file.name for file in found.files if usual is not None and file.suffix != usual]
    if odd:
        say_once(
            f"{folder}: {len(odd)} of {len(found.files)} files are taken, too, although their names do not end in "
            f"{usual}: {shorten(odd)}",
            level=logging.INFO,
        )
    if found.passed_over:
        parts = [f"{len(names)} {why} ({shorten(names, 2)})" for why, names in sorted(found.passed_over.items())]
        level = logging.INFO if set(found.passed_over) == {SYSTEM} else logging.WARNING
        say_once(f"{folder}: passed over are {', '.join(parts)}; taken are {', '.join(suffixes)}", level=level)
    return found


def _walk(folder: Path, found: Listing, suffixes: tuple[str, ...], deep: bool, without: Path | None) -> None:
    try:
        with os.scandir(folder) as entries:
            is_folder_of = {entry.name: _is_folder(entry) for entry in entries}
    except NotADirectoryError as error:
        raise FoldsegError(f"{folder}: is no folder") from error
    except FileNotFoundError as error:
        raise FoldsegError(f"{folder}: no such folder") from error
    except OSError as error:
        raise FoldsegError(f"{folder}: cannot be read: {error.strerror}") from error
    place = "" if folder == found.folder else f"{folder.relative_to(found.folder).as_posix()}/"
    for entry_name, is_folder in is_folder_of.items():
        entry, name = folder / entry_name, place + entry_name
        if entry_name.startswith(".") or entry_name.lower() in _SYSTEM:
            found.passed_over.setdefault(SYSTEM, []).append(name)
        elif is_folder and deep and not entry.is_symlink():  # a link may lead round in a circle
            if without is None or not entry.resolve().is_relative_to(without):
                _walk(entry, found, suffixes, deep, without)
        elif is_folder:
            found.passed_over.setdefault(FOLDER, []).append(f"{name}/")
        elif entry.suffix.lower() not in suffixes:
            found.passed_over.setdefault(OTHER_KIND, []).append(name)
        else:  # a pipe or a broken link of such a name is an error of whoever reads it
            found.files.append(entry)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder, or a link to one. The directory mostly says so, without another call."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_dir())


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def pair_by_stem(images: Listing, masks: Listing) -> list[tuple[Path, Path]]:
    """Pair images with masks of the same stem. FoldsegError names images without mask and masks without image."""
    by_image, by_mask = images.by_stem, masks.by_stem
    unpaired = [image for stem, image in by_image.items() if stem not in by_mask]
    if unpaired:
        alike = [name for name in masks.passed_over.get(OTHER_KIND, []) if Path(name).stem == unpaired[0].stem]
        hint = f"; {masks.folder / alike[0]} is no {' or '.join(MASKS)}" if alike else ""
        raise FoldsegError(f"{unpaired[0]}: has no mask in {masks.folder} ({len(unpaired)} such image(s)){hint}")
    spare = sorted(set(by_mask) - set(by_image))
    if spare:
        raise FoldsegError(f"{by_mask[spare[0]]}: is a mask without an image ({len(spare)} such mask(s))")
    return [(image, by_mask[stem]) for stem, image in by_image.items()]

"""Where the image files of a source are: annotations name them by paths of another machine, or by URLs."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from foldseg.data.listing import PICTURES
from foldseg.errors import FoldsegError, short_name

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Label Studio puts 8 hex digits before the names of uploaded files."""


_LONGEST = 255
"""Bytes of a file's name."""


class ImageFinder:
    """Finds image files by the names that annotations give them.

    folders: where images may lie, at any depth. The first that has the file wins.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(folders))
        for folder in self.folders:
            if not folder.is_dir():
                raise FoldsegError(f"{folder}: no such folder of images")
        self.used = set[Path]()

    def find(self, name: str, hints: Collection[str] = ()) -> Path | None:
        """Return the file of an image, or None if there is none.

        `name`: a relative path, a path of another machine (also of Windows), or a URL. The file with the longest common
        end of path is taken. `hints`: names of folders, e.g. of a split, which decide between files of one name.
        FoldsegError if several files fit equally well.
        """
        path = parse_name(name)
        _check_name(name, path)
        if path.is_absolute() and Path(path).is_file():
            return Path(path)
        for folder in self.folders:
            file = folder / path
            if not path.is_absolute() and ".." not in path.parts and file.is_file():
                self.used.add(file)
                return file
        match = self._best_match(path, name, hints)
        if match is None and _UPLOAD_PREFIX.match(path.name):
            match = self._best_match(path.with_name(path.name[9:]), name, hints)
        if match is not None:
            self.used.add(match)
        return match

    def unused(self) -> list[Path]:
        """Return the image files that no `find` has returned."""
        return sorted(file for files in self._by_name.values() for file in files if file not in self.used)

    def _best_match(self, path: PurePosixPath, name: str, hints: Collection[str]) -> Path | None:
        files = self._by_name.get(path.name, [])
        ranks = [(_common_end(file, path), self._count_hints(file, hints)) for file in files]
        best = [file for file, rank in zip(files, ranks, strict=True) if rank == max(ranks)]
        if len(best) > 1:
            raise FoldsegError(
                f"{name}: is not known which file is meant, {best[0]} or {best[1]} ({len(best)} such files); name the "
                "right folder with --images"
            )
        return best[0] if best else None

    def _count_hints(self, file: Path, hints: Collection[str]) -> int:
        """Return how many folders between an image and the folder that was searched have one of the names."""
        base = next(folder for folder in self.folders if file.is_relative_to(folder))
        return sum(part.lower() in hints for part in file.relative_to(base).parts[:-1])

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """All image files below the folders, by name. Files of an earlier folder hide those of a later one."""
        files = defaultdict[str, list[Path]](list)
        for folder in self.folders:
            found = defaultdict[str, list[Path]](list)
            for place, folders, names in os.walk(folder):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    if Path(name).suffix.lower() in PICTURES and not name.startswith("."):
                        found[name].append(Path(place, name))
            for name, paths in found.items():
                files.setdefault(name, paths)
        return files


def _check_name(name: str, path: PurePosixPath) -> None:
    """Raise FoldsegError for a name that no image file has: empty, too long, or with what cannot be printed."""
    is_possible = path.name != "" and name.isprintable() and all(len(part.encode()) <= _LONGEST for part in path.parts)
    if not is_possible:
        raise FoldsegError(f"{short_name(name)!r}: is no possible name of an image")


def parse_name(name: str) -> PurePosixPath:
    """Return the path of an image that annotations name as a path or URL, with slashes.

    >>> parse_name("C:\\\\scans\\\\a.png"), parse_name("/data/local-files/?d=scans/a%20b.png").name
    (PurePosixPath('C:/scans/a.png'), 'a b.png')
    """
    if "://" in name or name.startswith("/data/"):
        parts = urlsplit(name)
        query = parse_qs(parts.query).get("d")
        return PurePosixPath(query[0] if query else unquote(parts.path).lstrip("/"))
    path = PurePosixPath(name.replace("\\", "/"))
    return PurePosixPath(*[part for part in path.parts if part != "."])


def _common_end(file: Path, path: PurePosixPath) -> int:
    """Return how many of the last parts of two paths are equal."""
    count = 0
    for ours, theirs in zip(reversed(file.parts), reversed(path.parts), strict=False):
        if ours != theirs:
            break
        count += 1
    return count

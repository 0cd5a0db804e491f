"""What files hold, as SHA-256: pictures, masks, weights, the package's own code. Freshness is judged by nothing else.

A file is hashed once. Its hash is remembered with its size, times of change and inode, in one JSON per folder:

    $FOLDSEG_CACHE/content/<hash of the folder's path>.json      default: ~/.cache/foldseg

Nothing is written beside the files, so they may lie on a read-only disk. Where the cache cannot be written, hashes are
remembered until the command ends; a damaged file of the cache is ignored and written anew.
"""

import csv
import hashlib
import io
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

import foldseg
from foldseg.errors import FoldsegError
from foldseg.files import sha256, write_text
from foldseg.inputs import check_is_file

logger = logging.getLogger(__name__)

# A file that changed this short a time ago may change again without another time of change: it is not remembered
_SETTLED_NS = 2_000_000_000
_THREADS = 4
_HEADER = ["part", "id", "image", "mask"]

WEIGHTS = "weights"
"""What the names of parts begin with that are files of weights."""

Stamp = list[int]
"""Size, time of change of the content, time of change of the file (which no program can set) and inode."""

_remembered: dict[Path, dict[str, Any]] = {}
"""Folder -> name -> [*stamp, hash]: what was read from the cache, and hashed since."""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits. FoldsegError when it cannot be read."""
    return file_hashes([path])[0]


def file_hashes(paths: Iterable[Path]) -> list[str]:
    """Return the SHA-256 of each file's content, 64 hex digits, in order. FoldsegError names one that cannot be read.

    Only files are read that are not remembered, or whose size or times differ from what is remembered.
    """
    paths = list(paths)
    hashes = readable_hashes(paths)
    for path, found in zip(paths, hashes, strict=True):
        if not found:
            _raise_unreadable(path)
    return hashes


def readable_hashes(paths: Iterable[Path]) -> list[str]:
    """As `file_hashes`, with "" for files that cannot be read."""
    absolute = [path.absolute() for path in paths]
    stamps = {path: stamp for path in dict.fromkeys(absolute) if (stamp := _stamp(path)) is not None}
    hashes = {path: found for path, stamp in stamps.items() if (found := _recall(path, stamp))}
    unknown = [path for path in stamps if path not in hashes]
    if unknown:
        with ThreadPoolExecutor(_THREADS) as pool:
            steps = pool.map(_hash, unknown)
            shown = tqdm(steps, "hashing", len(unknown), unit="file", leave=False, disable=None, delay=1)
            hashes |= dict(zip(unknown, shown, strict=True))
        _remember({path: [*stamps[path], hashes[path]] for path in unknown if hashes[path]})
    return [hashes.get(path, "") for path in absolute]


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a NUL in the name is a ValueError
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except (OSError, FoldsegError):
        return ""


def _raise_unreadable(path: Path) -> None:
    check_is_file(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error
    raise FoldsegError(f"{path}: cannot be read")


def _recall(path: Path, stamp: Stamp) -> str | None:
    if path.parent not in _remembered:
        _remembered[path.parent] = _read_cache(path.parent)
    match _remembered[path.parent].get(path.name):
        case [*known, str(found)] if known == stamp and len(found) == 64:
            return found
    return None


def _remember(entries: Mapping[Path, list[Any]]) -> None:
    """Keep hashes, with their stamps, in memory and, if that can be written, in the cache."""
    settled = time.time_ns() - _SETTLED_NS
    by_folder: dict[Path, dict[str, Any]] = defaultdict(dict)
    for path, entry in entries.items():
        if entry[2] < settled:
            by_folder[path.parent][path.name] = entry
    for folder, entries_of_folder in by_folder.items():
        # What another process has remembered since is kept; files that are gone are not
        merged = {**_read_cache(folder), **_remembered[folder], **entries_of_folder}
        _remembered[folder] = {name: entry for name, entry in merged.items() if (folder / name).exists()}
        try:
            content = json.dumps({"folder": str(folder), "files": _remembered[folder]})
            write_text(_cache_file(folder), content)
        except (FoldsegError, RuntimeError) as error:
            logger.debug("hashes are remembered for this command alone: %s", error)


def _cache_file(folder: Path) -> Path:
    """Return where hashes of a folder's files are kept. RuntimeError where there is no home."""
    home = os.environ.get("FOLDSEG_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "foldseg"
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return Path(home).expanduser() / "content" / f"{name}.json"


def _read_cache(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_cache_file(folder).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return {}


@cache
def code_hash(*parts: str) -> str:
    """Return 12 hex digits that change with the code of rooms or modules, e.g. "models", "data/reading.py"."""
    package = Path(foldseg.__file__).parent
    files = [
        file for part in parts for file in ([package / part] if part.endswith(".py") else _modules(package / part))
    ]
    code = hashlib.sha256()
    for file in files:
        code.update(f"{file.relative_to(package)} ".encode() + file.read_bytes())
    return code.hexdigest()[:12]


def _modules(room: Path) -> list[Path]:
    return sorted(room.rglob("*.py"))


@dataclass(frozen=True)
class Contents:
    """What samples held: (part, id) -> SHA-256 of image and mask, "" where there is none. Parts: train, test, ...."""

    rows: Mapping[tuple[str, str], tuple[str, str]]

    @staticmethod
    def of(parts: Mapping[str, pd.DataFrame], root: Path) -> "Contents":
        """Hash what tables with the columns id, image and mask name; paths are relative to `root`."""
        rows: dict[tuple[str, str], tuple[Path | None, Path | None]] = {}
        for part, table in parts.items():
            for name, *files in zip(table["id"], table["image"], table["mask"], strict=True):
                image, mask = (root / str(file) if file else None for file in files)
                rows[part, str(name)] = image, mask
        return Contents.of_files(rows)

    @staticmethod
    def of_files(rows: Mapping[tuple[str, str], tuple[Path | None, Path | None]]) -> "Contents":
        """Hash the files of samples; None where there is no image or mask."""
        paths = [path for pair in rows.values() for path in pair if path is not None]
        hashes = dict(zip(paths, file_hashes(paths), strict=True))

        def of(path: Path | None) -> str:
            return "" if path is None else hashes[path]

        return Contents({key: (of(image), of(mask)) for key, (image, mask) in rows.items()})

    @staticmethod
    def read(path: Path) -> "Contents":
        """Read what `write` wrote. FoldsegError when it is missing or damaged."""
        try:
            header, *lines = csv.reader(path.read_text().splitlines())
        except (OSError, ValueError, csv.Error) as error:
            raise FoldsegError(f"{path}: is not a readable CSV ({error}); remove it to go on unverified") from error
        if header != _HEADER or any(len(line) != len(_HEADER) for line in lines):
            raise FoldsegError(f"{path}: should have the columns {', '.join(_HEADER)}; remove it to go on unverified")
        return Contents({(part, name): (image, mask) for part, name, image, mask in lines})

    def write(self, path: Path) -> None:
        """Write a CSV of part, id, image, mask."""
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows([*key, *hashes] for key, hashes in self.rows.items())
        write_text(path, content.getvalue())

    def ids(self, part: str) -> list[str]:
        """Ids of a part, in order."""
        return [name for of, name in self.rows if of == part]

    def changes(self, now: "Contents") -> list[str]:
        """Say, part by part, what differs now: how many images and masks, and the first of them.

        A part that only one of the two has is left out: nothing is known of the other.
        """
        later = {part for part, _ in now.rows}
        parts = dict.fromkeys(part for part, _ in self.rows if part in later)
        return [line for part in parts if (line := self._changes_of(part, now))]

    def _changes_of(self, part: str, now: "Contents") -> str:
        before, after = ({name: c.rows[part, name] for name in c.ids(part)} for c in (self, now))
        both = [name for name in before if name in after]
        kind_of_image = "file" if part.startswith(WEIGHTS) else "image"
        kinds = {
            kind_of_image: [name for name in both if before[name][0] != after[name][0]],
            "mask": [name for name in both if before[name][1] != after[name][1]],
            "missing sample": [name for name in before if name not in after],
            "new sample": [name for name in after if name not in before],
        }
        shown = [
            f"{count_of(names, kind)} ({names[0]}{', ...' if names[1:] else ''})"
            for kind, names in kinds.items()
            if names
        ]
        return f"{part}: {', '.join(shown)}" if shown else ""


def count_of(items: Sequence[object], noun: str) -> str:
    """Return a number and its noun: `1 image`, `2 images`."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"

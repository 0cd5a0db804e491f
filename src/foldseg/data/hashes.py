"""SHA-256 hashes of what files hold: pictures, masks, weights, the package's own code.

Whether something is up to date is decided by these hashes alone. A file is hashed once. Its hash is remembered with its
size, its times of change and its inode, in one JSON per folder:

    $FOLDSEG_CACHE/content/<hash of the folder's path>.json      default: ~/.cache/foldseg

Nothing is written beside the files, so they may lie on a read-only disk. If the cache cannot be written, hashes are
remembered until the command ends. A damaged file of the cache is ignored and written again.
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

_SETTLED_NS = 2_000_000_000
"""A file that changed less than 2 s ago is not remembered: it may change again and keep its time of change."""
_THREADS = 4
_HEADER = ["part", "id", "image", "mask"]

WEIGHTS = "weights"
"""How the names of those parts begin that are files of weights."""

Stamp = list[int]
"""Size, time of change of the content, time of change of the file (which no program can set) and inode."""

_remembered: dict[Path, dict[str, Any]] = {}
"""Folder -> name -> [*stamp, hash]: what the cache held, and what was hashed since."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits. FoldsegError when it cannot be read."""
    return hash_files([path])[0]


def hash_files(paths: Iterable[Path]) -> list[str]:
    """Return the SHA-256 of each file's content, 64 hex digits, in order. FoldsegError names one that cannot be read.

    A file is read if it is not remembered, or if its size or times differ from what is remembered.
    """
    paths = list(paths)
    hashes = hash_readable_files(paths)
    for path, digest in zip(paths, hashes, strict=True):
        if not digest:
            _raise_unreadable(path)
    return hashes


def hash_readable_files(paths: Iterable[Path]) -> list[str]:
    """Return the hashes that `hash_files` returns, but "" for files that cannot be read."""
    absolute = [path.absolute() for path in paths]
    stamps: dict[Path, Stamp] = {}
    hashes: dict[Path, str] = {}
    for path in dict.fromkeys(absolute):
        stamp = _read_stamp(path)
        if stamp is not None:
            stamps[path] = stamp
            hashes[path] = _recall(path, stamp)
    unknown = [path for path in stamps if not hashes[path]]
    if unknown:
        with ThreadPoolExecutor(_THREADS) as pool:
            steps = pool.map(_hash_or_nothing, unknown)
            bar = tqdm(steps, "hashing", len(unknown), unit="file", leave=False, disable=None, delay=1)
            hashes |= dict(zip(unknown, bar, strict=True))
        _remember({path: [*stamps[path], hashes[path]] for path in unknown if hashes[path]})
    return [hashes.get(path, "") for path in absolute]


def _read_stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a NUL in the name is a ValueError
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hash_or_nothing(path: Path) -> str:
    try:
        return sha256(path)
    except (OSError, FoldsegError):
        return ""


def _raise_unreadable(path: Path) -> None:
    """Raise the FoldsegError that says why a file cannot be read."""
    check_is_file(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error
    raise FoldsegError(f"{path}: cannot be read")


def _recall(path: Path, stamp: Stamp) -> str:
    """Return the remembered hash of a file that still has the stamp it had then; "" if there is none."""
    if path.parent not in _remembered:
        _remembered[path.parent] = _read_cache(path.parent)
    match _remembered[path.parent].get(path.name):
        case [*remembered_stamp, str(digest)] if remembered_stamp == stamp and len(digest) == 64:
            return digest
    return ""


def _remember(entries: Mapping[Path, list[Any]]) -> None:
    """Keep hashes with their stamps in memory, and in the cache if it can be written."""
    settled_before = time.time_ns() - _SETTLED_NS
    by_folder: dict[Path, dict[str, Any]] = defaultdict(dict)
    for path, entry in entries.items():
        if entry[2] < settled_before:
            by_folder[path.parent][path.name] = entry
    for folder, entries_of_folder in by_folder.items():
        # Keep what another process has remembered since; forget files that are gone
        merged = {**_read_cache(folder), **_remembered[folder], **entries_of_folder}
        _remembered[folder] = {name: entry for name, entry in merged.items() if (folder / name).exists()}
        try:
            content = json.dumps({"folder": str(folder), "files": _remembered[folder]})
            write_text(_cache_file(folder), content)
        except (FoldsegError, RuntimeError) as error:
            logger.debug("hashes are remembered for this command alone: %s", error)


def _cache_file(folder: Path) -> Path:
    """Return the file that remembers the hashes of a folder's files. RuntimeError if the user has no home folder."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return _cache_home() / "content" / f"{name}.json"


def _cache_home() -> Path:
    home = os.environ.get("FOLDSEG_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "foldseg"
    return Path(home).expanduser()


def cache_folder(name: str) -> Path | None:
    """Return the folder of what is remembered of a kind, e.g. "checked". None if the user has no home folder."""
    try:
        return _cache_home() / name
    except RuntimeError:
        return None


def _read_cache(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_cache_file(folder).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return {}


@cache
def hash_code(*parts: str) -> str:
    """Return 12 hex digits that change with the code of rooms or modules, e.g. "models", "data/reading.py"."""
    package = Path(foldseg.__file__).parent
    code = hashlib.sha256()
    for part in parts:
        is_module = part.endswith(".py")
        files = [package / part] if is_module else sorted((package / part).rglob("*.py"))
        for file in files:
            code.update(f"{file.relative_to(package)} ".encode() + file.read_bytes())
    return code.hexdigest()[:12]


@dataclass(frozen=True)
class SampleHashes:
    """The SHA-256 of samples' images and masks, by (part, id); "" if there is none. Parts are train, test, ...."""

    rows: Mapping[tuple[str, str], tuple[str, str]]

    @staticmethod
    def of(parts: Mapping[str, pd.DataFrame], root: Path) -> "SampleHashes":
        """Hash the files of samples; each part is a table with the columns id, image and mask, relative to `root`."""
        rows: dict[tuple[str, str], tuple[Path | None, Path | None]] = {}
        for part, table in parts.items():
            for name, *files in zip(table["id"], table["image"], table["mask"], strict=True):
                image, mask = (root / str(file) if file else None for file in files)
                rows[part, str(name)] = image, mask
        return SampleHashes.of_files(rows)

    @staticmethod
    def of_files(rows: Mapping[tuple[str, str], tuple[Path | None, Path | None]]) -> "SampleHashes":
        """Hash the files of samples: (part, id) -> image and mask, None if there is none."""
        paths = [path for pair in rows.values() for path in pair if path is not None]
        hashes: dict[Path | None, str] = {None: ""}
        hashes |= dict(zip(paths, hash_files(paths), strict=True))
        return SampleHashes({key: (hashes[image], hashes[mask]) for key, (image, mask) in rows.items()})

    @staticmethod
    def read(path: Path) -> "SampleHashes":
        """Read what `write` wrote. FoldsegError when it is missing or damaged."""
        try:
            header, *lines = csv.reader(path.read_text().splitlines())
        except (OSError, ValueError, csv.Error) as error:
            raise FoldsegError(f"{path}: is not a readable CSV ({error}); remove it to go on unverified") from error
        if header != _HEADER or any(len(line) != len(_HEADER) for line in lines):
            raise FoldsegError(f"{path}: should have the columns {', '.join(_HEADER)}; remove it to go on unverified")
        return SampleHashes({(part, name): (image, mask) for part, name, image, mask in lines})

    def write(self, path: Path) -> None:
        """Write a CSV of part, id, image, mask."""
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows([*key, *hashes] for key, hashes in self.rows.items())
        write_text(path, content.getvalue())

    def ids(self, part: str) -> list[str]:
        """Return the ids of a part, in order."""
        return [name for part_of_row, name in self.rows if part_of_row == part]

    def changes(self, now: "SampleHashes") -> list[str]:
        """Say for each part what differs now: how many images and masks, and the first of them.

        A part that only one of the two has is left out, since there is nothing to compare it with.
        """
        parts_now = {part for part, _ in now.rows}
        parts = dict.fromkeys(part for part, _ in self.rows if part in parts_now)
        lines = [self._changes_of(part, now) for part in parts]
        return [line for line in lines if line]

    def _changes_of(self, part: str, now: "SampleHashes") -> str:
        """Say what differs in a part that both have; "" if nothing does."""
        before, after = ({name: c.rows[part, name] for name in c.ids(part)} for c in (self, now))
        in_both = [name for name in before if name in after]
        image_noun = "file" if part.startswith(WEIGHTS) else "image"
        different = {
            image_noun: [name for name in in_both if before[name][0] != after[name][0]],
            "mask": [name for name in in_both if before[name][1] != after[name][1]],
            "missing sample": [name for name in before if name not in after],
            "new sample": [name for name in after if name not in before],
        }
        descriptions = []
        for noun, names in different.items():
            if names:
                more = ", ..." if len(names) > 1 else ""
                descriptions.append(f"{format_count(names, noun)} ({names[0]}{more})")
        return f"{part}: {', '.join(descriptions)}" if descriptions else ""


def format_count(items: Sequence[object], noun: str) -> str:
    """Return the number of items and their noun: `1 image`, `2 images`."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"

"""Recognising files by what they hold, without parsing them."""

import mmap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_FIRST_FILES = 20
"""So many files of a folder are looked at."""


def holds_keys(path: Path, *keys: str, start: str = "{") -> bool:
    """Return whether a JSON file begins with `start` and holds all `keys`, at any depth. It is not parsed."""
    if not path.is_file():  # opening a pipe might never end
        return False
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            begin = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1].decode("latin-1")
            return begin != "" and begin in start and all(content.find(f'"{key}"'.encode()) >= 0 for key in keys)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def json_files(folder: Path, most: int | None = _FIRST_FILES) -> Iterator[Path]:
    """Yield the first JSON files of a folder, sorted by name, without those in its folders."""
    if folder.is_dir():
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".json" and file.name[:1] != ".")
        yield from islice(files, most)


def folders_below(folder: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those below it, down to `depth`, without hidden ones."""
    yield folder
    if depth and folder.is_dir():
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.name.startswith(".") and not inner.is_symlink():
                yield from folders_below(inner, depth - 1)

"""Reading plain files: bytes, text in UTF-8, CSV. Errors name the file."""

import csv
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from foldseg.errors import FoldsegError

if TYPE_CHECKING:  # pandas takes a second to import
    import pandas as pd


def check_is_file(path: Path) -> None:
    """Raise FoldsegError unless `path` is a plain file. Reading a named pipe or a device might never end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise FoldsegError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        raise FoldsegError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise FoldsegError(f"{path}: is a {'folder' if stat.S_ISDIR(mode) else 'pipe or device'}, not a file")


def is_absent(path: Path) -> bool:
    """Return whether nothing is at a path: no file, and no folder, pipe or broken link either."""
    return not os.path.lexists(path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. FoldsegError if it is missing, no plain file, or cannot be read."""
    check_is_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """Return the text of a file, without a byte order mark. FoldsegError as `read_bytes`, and if it is no UTF-8."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FoldsegError(f"{path}: is not text in UTF-8 ({error})") from error
    if "\0" in text:
        raise FoldsegError(f"{path}: is not text: it holds a NUL character")
    return text


def read_csv(path: Path) -> "pd.DataFrame":
    """Return the table of a CSV as text, every cell as it is written. The first row names the columns.

    FoldsegError if a row has more or fewer cells than the first one. So a file that is cut within a row is noticed.
    """
    import pandas as pd

    try:
        header, *rows = [row for row in csv.reader(io.StringIO(read_text(path), newline=""), strict=True) if row]
    except (csv.Error, ValueError) as error:  # there is no row at all
        raise FoldsegError(f"{path}: is not a CSV ({error})") from error
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise FoldsegError(
                f"{path}: has rows of more or fewer columns: row {number} has {len(row)}, its header {len(header)}"
            )
    return pd.DataFrame(rows, columns=header, dtype="str")

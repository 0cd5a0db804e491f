"""The folder that an import fills: it appears whole, or not at all."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.files import is_alive, write_text
from foldseg.inputs import is_absent
from foldseg.outputs import MARK

_MARK_TEXT = "import: written by foldseg, which may replace and remove files here\n"


def mark(folder: Path) -> None:
    """Mark a folder as an import, which a later one may replace."""
    write_text(folder / MARK, _MARK_TEXT)


def is_import(folder: Path) -> bool:
    """Return whether an import made a folder."""
    file = folder / MARK
    return file.is_file() and file.read_bytes() == _MARK_TEXT.encode()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that takes its place at the end, or is removed after an error."""
    _remove_rests(out)
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        folder.mkdir(parents=True)
        yield folder
        if not is_absent(out):
            out.rename(old)
        folder.rename(out)
    except OSError as error:
        if is_absent(out) and not is_absent(old):
            old.rename(out)
        raise FoldsegError(f"{out}: could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _remove_rests(out: Path) -> None:
    """Remove what processes that were killed left beside `out`, and put an old `out` back that they had moved."""
    for rest in out.parent.glob(f".{glob.escape(out.name)}.*"):
        pid, kind = rest.name.removeprefix(f".{out.name}.").partition(".")[::2]
        if not pid.isdecimal() or kind not in ("partial", "old") or is_alive(int(pid)):
            continue
        if kind == "old" and is_absent(out):
            rest.rename(out)
        else:
            shutil.rmtree(rest, ignore_errors=True)

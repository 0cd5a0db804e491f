"""What may be written where: never over files that a command reads, never into folders that foldseg did not make.

Before its work, a command checks the file that it will write (`check_output`) or claims the folder that it will fill
(`claim`).
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.files import write_text

MARK = ".foldseg"
"""A hidden file in folders that foldseg fills and that nothing else identifies. It says what fills them."""

SIGNATURE = "foldseg"
"""foldseg writes it into formats that have a place for it: PNGs of figures, and exported networks."""

_HEAD, _TAIL = 512, 65536
"""So many bytes at the begin and the end of a file are searched for its kind and the signature."""
_SIGNS: dict[str, Callable[[bytes], bool]] = {
    ".png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    ".mp4": lambda head: head[4:8] == b"ftyp",
    ".onnx": lambda head: head.startswith(b"\x08"),  # the number of the first field, its version
    ".json": lambda head: head.lstrip()[:1] == b"{",
    ".md": lambda head: True,  # `begins` is compared instead
    ".pth": lambda head: head.startswith(b"PK"),
    ".zip": lambda head: head.startswith(b"PK"),
    ".csv": lambda head: True,  # `header` is compared instead
}
"""Suffix of a file -> function that tells from the first bytes whether a file is of that kind."""


def check_output(
    path: Path, suffix: str, reads: Iterable[Path | None] = (), header: Iterable[str] = (), begins: str = ""
) -> None:
    """Raise FoldsegError unless `path` can be written without loss: a new file, or one of the kind that is replaced.

    suffix: `path` must end in it. It is one of `.png .mp4 .onnx .json .md .pth .zip .csv`.
    reads: files and folders that the command reads. `path` must be none of them, under any name. It must be no file
        inside these folders either, unless foldseg's signature is in it. None is ignored.
    header: the first columns of a CSV. An existing file with other columns is not replaced.
    begins: a regular expression. An existing file whose text begins in another way is not replaced, unless it is empty.
    """
    if path.suffix.lower() != suffix:
        raise FoldsegError(f"{path}: should end in {suffix}")
    _check_place(path)
    if not path.exists():
        return
    if path.is_dir():
        raise FoldsegError(f"{path}: is a folder; give the name of a file to write")
    head, has_signature = _inspect(path)
    columns = ",".join(header).encode()
    is_ours = head.startswith(columns) if suffix == ".csv" else has_signature
    for source in reads:
        if source is not None and is_same_file(path, source):
            raise FoldsegError(
                f"{path}: is read by this command and would be replaced; give what is written another name"
            )
        if source is not None and not is_ours and is_within(path, source):
            raise FoldsegError(
                f"{path}: is a file of {source}, which this command reads; give what is written another name"
            )
    if head and not (_SIGNS[suffix](head) and (suffix != ".csv" or is_ours)):
        kind = f"table of {columns.decode()}, ..." if suffix == ".csv" else suffix[1:].upper()
        raise FoldsegError(f"{path}: is there already and holds no {kind}; remove it, or give another name")
    if head and not re.match(begins, head.decode(errors="replace")):
        raise FoldsegError(f"{path}: is there already and holds something else; remove it, or give another name")


def require_own(folder: Path, what: str, is_ours: Callable[[Path], bool]) -> None:
    """Raise FoldsegError if `folder` holds files that foldseg did not make. A new or an empty folder is fine.

    `what`: what the folder is for, for the message. `is_ours`: tells whether foldseg made the files of a folder. Hidden
    files and empty folders do not count.
    """
    _check_place(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FoldsegError(f"{folder}: is a file; {what} needs a folder")
    names = sorted(path.name for path in folder.glob("[!.]*") if not _is_empty(path))
    if names and not is_ours(folder):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise FoldsegError(
            f"{folder}: holds files that are no {what} of foldseg's ({names[0]}{more}) and stays as it is; "
            "give another folder, or empty this one"
        )


def _is_empty(path: Path) -> bool:
    """Return whether a path is a folder without anything in it."""
    return path.is_dir() and not any(path.iterdir())


def claim(folder: Path, what: str, is_ours: Callable[[Path], bool] = lambda folder: False) -> None:
    """Create `folder`, and mark it as one that `what` may fill and clear. FoldsegError as `require_own`."""
    mark = folder / MARK
    text = f"{what}: written by foldseg, which may replace and remove files here\n"

    def is_marked(folder: Path) -> bool:
        return is_ours(folder) or (mark.is_file() and mark.read_bytes() == text.encode())

    require_own(folder, what, is_marked)
    write_text(mark, text)


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths are the same file, also by links or other spellings."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def is_within(path: Path, folder: Path) -> bool:
    """Return whether `path` is `folder` or lies below it, also by links or other spellings. It need not exist."""
    real = path.resolve()
    return any(is_same_file(part, folder) for part in (real, *real.parents))


def _check_place(path: Path) -> None:
    """Raise FoldsegError if a parent of the path is a file, so that nothing can be below it."""
    for parent in path.parents:
        if parent.is_dir():
            return
        if parent.exists():
            raise FoldsegError(f"{path}: cannot be written: {parent} is a file")


def _inspect(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether foldseg's signature is near its begin or its end."""
    signature = SIGNATURE.encode()
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return head, signature in head or signature in stream.read()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error

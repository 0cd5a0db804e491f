"""What may be written where: never over what a command reads, never into a folder that foldseg did not make.

A command says before its work which file it will write (`check_output`) or which folder it will fill (`claim`).
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.files import write_text

MARK = ".foldseg"
"""A hidden file in folders that hold nothing else by which they could be recognised; it says what fills them."""

SIGNATURE = "foldseg"
"""Stands in what foldseg writes where a format has a place for it: PNGs of figures and exported networks."""

_HEAD, _TAIL = 512, 65536  # bytes of a file in which kind and signature are looked for
_SIGNS: dict[str, Callable[[bytes], bool]] = {
    ".png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    ".mp4": lambda head: head[4:8] == b"ftyp",
    ".onnx": lambda head: head.startswith(b"\x08"),  # the field of its version
    ".json": lambda head: head.lstrip()[:1] == b"{",
    ".md": lambda head: True,  # its begin is compared
    ".pth": lambda head: head.startswith(b"PK"),
    ".csv": lambda head: True,  # its header is compared
}
"""Suffix of a file -> whether its first bytes are those of such a file."""


def check_output(
    path: Path, suffix: str, reads: Iterable[Path | None] = (), header: Iterable[str] = (), begins: str = ""
) -> None:
    """FoldsegError unless `path` can be written without loss: a new file, or one of the kind that is replaced.

    suffix: one of `.png .mp4 .onnx .json .md .pth .csv`, which `path` must end in.
    reads: files and folders that the command reads. `path` must be none of them under any name, and no file inside of
        these folders unless foldseg's signature is in it; None stands for nothing.
    header: the first columns of a CSV. An existing file with others is something else.
    begins: a regular expression with which the text of an existing file has to begin, if there is any text.
    """
    if path.suffix.lower() != suffix:
        raise FoldsegError(f"{path}: should end in {suffix}")
    _check_place(path)
    if not path.exists():
        return
    if path.is_dir():
        raise FoldsegError(f"{path}: is a folder; give the name of a file to write")
    head, signed = _looked_at(path)
    columns = ",".join(header).encode()
    is_ours = head.startswith(columns) if suffix == ".csv" else signed
    for source in reads:
        if source is not None and same_file(path, source):
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
    """FoldsegError when `folder` holds files that foldseg did not make; a new or an empty one is welcome.

    `what` is said in the error: what the folder is to hold. Hidden files and empty folders do not count.
    """
    _check_place(folder)
    if folder.exists() and not folder.is_dir():
        raise FoldsegError(f"{folder}: is a file; {what} needs a folder")
    strangers = sorted(path.name for path in folder.glob("[!.]*") if not _is_empty(path)) if folder.is_dir() else []
    if strangers and not is_ours(folder):
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        raise FoldsegError(
            f"{folder}: holds files that are no {what} of foldseg's ({strangers[0]}{more}) and stays as it is; "
            "give another folder, or empty this one"
        )


def _is_empty(path: Path) -> bool:
    """Whether a path is a folder without anything in it."""
    return path.is_dir() and not any(path.iterdir())


def claim(folder: Path, what: str, is_ours: Callable[[Path], bool] = lambda folder: False) -> None:
    """Make `folder`, and mark it as one that `what` may fill and clear. FoldsegError as `require_own`."""
    mark = folder / MARK
    require_own(folder, what, lambda folder: is_ours(folder) or (mark.is_file() and mark.read_bytes() == _of(what)))
    write_text(mark, _of(what).decode())


def _of(what: str) -> bytes:
    return f"{what}: written by foldseg, which may replace and remove files here\n".encode()


def same_file(path: Path, other: Path) -> bool:
    """Whether two paths are one file, whatever they are called: links and spellings included."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def is_within(path: Path, folder: Path) -> bool:
    """Whether `path`, which need not exist, is `folder` or lies below it, links and spellings included."""
    real = path.resolve()
    return any(same_file(part, folder) for part in (real, *real.parents))


def _check_place(path: Path) -> None:
    """FoldsegError when a part of the path is a file, so that nothing can be below it."""
    for parent in path.parents:
        if parent.is_dir():
            return
        if parent.exists():
            raise FoldsegError(f"{path}: cannot be written: {parent} is a file")


def _looked_at(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether foldseg's signature stands near its begin or its end."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return head, SIGNATURE.encode() in head or SIGNATURE.encode() in stream.read()
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror}") from error

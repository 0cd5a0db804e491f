"""Writing files so that a killed process leaves the old or the new one, never half of it; locks; our own JSON."""

import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from foldseg import lockfile
from foldseg.errors import FoldsegError
from foldseg.inputs import check_is_file, is_absent, read_bytes

logger = logging.getLogger(__name__)

_BUSY = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_CHANGED = "the file was changed, cut or written by another version of foldseg; make it again"
_LONGEST_PATH, _LONGEST_NAME = 4095, 255
"""Limits of Linux, in bytes."""
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


def user_path(path: Path) -> Path:
    """Return a path that a user wrote, with `~` filled in.

    ValueError for the home of an unknown user, for a path that is too long or holds a NUL, and for `$NAME`. Only shells
    fill in variables, and nobody wants a folder of that very name.
    """
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r}: holds a NUL character, as no path does")
    if len(os.fsencode(path)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise ValueError(f"{str(path)[:40]!r}...: is too long to be a path")
    if any(_VARIABLE.fullmatch(part) for part in path.parts):
        raise ValueError(f"{str(path)!r}: variables such as $HOME are not filled in here; write the path itself, or ~")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{str(path)!r}: no such user's home") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block ends without an error.

    If `path` is a link, the file that it points to is replaced. A process that is killed inside the block leaves the
    old file as it was, and a hidden `.partial` file. A full disk or a missing permission is a FoldsegError that names
    `path`; the old file stays then, too.
    """
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path  # noqa: PTH114  # is_symlink may raise
    if not is_absent(target):
        check_is_file(target)  # a rename would replace a pipe or a device
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as error:
        raise FoldsegError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove the temporary files that killed processes left in `folder`. Those of running processes stay."""
    for partial in folder.glob(".*.partial"):
        pid = partial.suffixes[-2].removeprefix(".") if len(partial.suffixes) > 1 else ""
        if pid.isdecimal() and not is_alive(int(pid)):
            partial.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Return whether a process of this number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Lock `path` for this process during the block, by the lock file `.<name>.lock` beside it.

    If another process holds the lock, wait for it if `wait`, otherwise raise FoldsegError. The operating system
    releases the lock of a process that is killed, and child processes do not inherit it. It takes no space on the disk.
    On a file system without locks, a file `.<name>.lock.held` takes the place of the lock.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise FoldsegError(f"{lock}: could not be written: {error.strerror or error}") from error
    try:
        if _has_locked(descriptor, lock, path, wait=wait):
            with suppress(OSError):  # the file says who holds it, which is not needed: on a full disk it stays empty
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
            yield
        else:
            with lockfile.held(lock.with_name(f"{lock.name}.held"), path, wait=wait):
                yield
    finally:
        os.close(descriptor)


def _has_locked(descriptor: int, lock: Path, path: Path, *, wait: bool) -> bool:
    """Lock an open file, and return True; return False if its file system has no locks.

    If another process holds the lock, wait for it if `wait`, otherwise raise FoldsegError.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        if error.errno not in _BUSY:
            raise FoldsegError(f"{lock}: cannot be locked: {error.strerror}") from error
        holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip() or "another process"
        if not wait:
            raise FoldsegError(f"{path}: {holder} is at work there; wait for it, or stop it") from None
        logger.info("%s: waiting for %s, which is at work there", path, holder)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    return True


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, and remove it when the block ends. What a killed process left there is removed before."""
    rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, all of it or nothing. FoldsegError as `replacing`."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 to `path`, all of it or nothing. FoldsegError as `replacing`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON to `path`, all of it or nothing. NaN becomes null, since JSON has no NaN."""
    write_text(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. FoldsegError if it is missing or no JSON."""
    content = read_bytes(path)
    try:
        return json.loads(content)
    except RecursionError as error:
        raise FoldsegError(f"{path}: not valid JSON (nested too deeply)") from error
    except ValueError as error:
        raise FoldsegError(f"{path}: not valid JSON ({error})") from error


def read_record(path: Path, keys: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the mapping of a JSON file that foldseg wrote. FoldsegError, with file and key, if it was damaged since.

    keys: the keys that it must hold -> their types, e.g. {"fold": int, "classes": list[str]}. optional: the same of
    keys that it may hold. Any other key that is missing, at any depth, is an error when it is read from the mapping.
    """
    from pydantic import TypeAdapter, ValidationError  # takes longer to import than --help takes in all

    content = read_json(path)
    if not isinstance(content, dict):
        raise FoldsegError(f"{path}: should be a mapping, is a {type(content).__name__}; {_CHANGED}")
    record = _Record.of(content, path, "")
    expected = {**keys, **{key: kind for key, kind in (optional or {}).items() if key in record}}
    for key, kind in expected.items():
        try:
            TypeAdapter(kind).validate_python(record[key], strict=True)
        except ValidationError as error:
            place = ".".join([key, *(str(part) for part in error.errors()[0]["loc"])])
            raise FoldsegError(f"{path}: {place}: {error.errors()[0]['msg']}; {_CHANGED}") from None
    return record


class _Record(dict[str, Any]):
    """A mapping from a file. Reading a missing key is a FoldsegError that names the file."""

    def __init__(self, content: Mapping[str, Any], path: Path, place: str) -> None:
        super().__init__(content)
        self._path, self._place = path, place

    @staticmethod
    def of(content: Any, path: Path, place: str) -> Any:
        """Return the content with all its mappings, at any depth, as records; `place`: where it is in the file."""
        if isinstance(content, dict):
            inner = {key: _Record.of(value, path, f"{place}{key}.") for key, value in content.items()}
            return _Record(inner, path, place)
        if isinstance(content, list) and content and isinstance(content[0], dict):
            return [_Record.of(value, path, f"{place}{index}.") for index, value in enumerate(content)]
        return content

    def __missing__(self, key: str) -> Any:
        raise FoldsegError(f"{self._path}: {self._place}{key} is missing; {_CHANGED}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits. FoldsegError if it is no plain file."""
    check_is_file(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Locks for file systems that have none (NFS without its lock service, many FUSE mounts): a file that exists.

A process that is killed leaves the file behind. The file says which process made it, and when that process began. So
other processes of the same machine notice that it is dead. On another machine they cannot, and a person has to remove
the file.
"""

import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

_PAUSE = 0.2
"""Seconds between two attempts to get a lock."""


@contextmanager
def held(file: Path, path: Path, *, wait: bool) -> Iterator[None]:
    """Hold `file` as the lock of `path` during the block. If another process holds it, wait, or raise FoldsegError."""
    logger.warning("%s: this file system has no locks; the file %s stands in for one", path, file.name)
    mine = json.dumps({"machine": platform.node(), "process": os.getpid(), "began": began(os.getpid())}).encode()
    while not _create(file, mine):
        holder = _read(file)
        if holder is None:
            continue  # it was released just now
        if _is_dead(holder):
            _remove_stale(file, holder)
        elif wait:
            time.sleep(_PAUSE)
        else:
            raise FoldsegError(
                f"{path}: {_describe(holder)} is at work there; wait for it, or stop it. "
                f"If it does not exist any more, remove {file}"
            )
    try:
        yield
    finally:
        if _read(file) == mine and json.loads(mine)["process"] == os.getpid():
            file.unlink(missing_ok=True)


def began(process: int) -> str:
    """Return when a process of this machine began, in the kernel's units; "" if that is not known."""
    try:
        # The name of the program may hold blanks and brackets; the 22nd field of all is the 20th after the last bracket
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _create(file: Path, content: bytes) -> bool:
    """Create the file, with its whole content at once. Return False if it exists."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.link(temporary, file)
    except FileExistsError:
        return False
    except OSError:
        return _create_without_links(file, content)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_without_links(file: Path, content: bytes) -> bool:
    """Create the file on a file system without hard links. Return False if it exists."""
    try:
        with file.open("xb") as stream:
            stream.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise FoldsegError(f"{file}: could not be written: {error.strerror or error}") from error
    return True


def _read(file: Path) -> bytes | None:
    """Return the content of a lock file; None if there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FoldsegError(f"{file}: cannot be read: {error.strerror or error}") from error


def _is_dead(holder: bytes) -> bool:
    """Return whether the process that holds a lock is of this machine and has ended; `holder`: content of the file."""
    try:
        record = json.loads(holder)
        machine, process, begin = record["machine"], int(record["process"]), record["began"]
    except (ValueError, TypeError, KeyError):
        return False
    if machine != platform.node():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # the process belongs to another user
    return bool(begin) and began(process) not in ("", begin)


def _remove_stale(file: Path, holder: bytes) -> None:
    """Remove the lock of a dead process. If another process has replaced it meanwhile, that one's lock stays."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.stale")
    with suppress(FileNotFoundError):
        file.rename(aside)
        if aside.read_bytes() != holder:
            with suppress(OSError):
                os.link(aside, file)
        aside.unlink()


def _describe(holder: bytes) -> str:
    """Name the process that holds a lock, for messages."""
    try:
        record = json.loads(holder)
        return f"process {int(record['process'])} on {record['machine']}"
    except (ValueError, TypeError, KeyError):
        return "another process"

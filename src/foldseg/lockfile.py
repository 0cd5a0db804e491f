"""A lock for file systems that have none (NFS without its lock service, many FUSE mounts): a file that exists.

A process that is killed leaves the file behind. On the same machine that is seen: the file says which process made it,
and when that process began. On another machine it cannot be seen; then a person has to remove the file.
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

_PAUSE = 0.2  # seconds between two looks at a lock of another process


@contextmanager
def held(file: Path, path: Path, *, wait: bool) -> Iterator[None]:
    """Hold `file` as the lock of `path` during the block. FoldsegError when another process holds it, unless `wait`."""
    logger.warning("%s: this file system has no locks; the file %s stands in for one", path, file.name)
    mine = json.dumps({"machine": platform.node(), "process": os.getpid(), "began": began(os.getpid())}).encode()
    while not _made(file, mine):
        holder = _content(file)
        if holder is None:
            continue  # it was given back just now
        if _is_dead(holder):
            _take_away(file, holder)
        elif wait:
            time.sleep(_PAUSE)
        else:
            raise FoldsegError(
                f"{path}: {_described(holder)} is at work there; wait for it, or stop it. "
                f"If it does not exist any more, remove {file}"
            )
    try:
        yield
    finally:
        if _content(file) == mine and json.loads(mine)["process"] == os.getpid():
            file.unlink(missing_ok=True)


def began(process: int) -> str:
    """Return when a process of this machine began, in its own units; "" where that cannot be known."""
    try:
        # The name of the program may hold blanks and brackets; the 22nd field of all is the 20th after the last bracket
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _made(file: Path, content: bytes) -> bool:
    """Create the file, which then appears with its whole content; False when it exists."""
    own = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        own.write_bytes(content)
        os.link(own, file)
    except FileExistsError:
        return False
    except OSError:
        return _made_without_links(file, content)
    finally:
        own.unlink(missing_ok=True)
    return True


def _made_without_links(file: Path, content: bytes) -> bool:
    try:
        with file.open("xb") as stream:
            stream.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise FoldsegError(f"{file}: could not be written: {error.strerror or error}") from error
    return True


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FoldsegError(f"{file}: cannot be read: {error.strerror or error}") from error


def _is_dead(holder: bytes) -> bool:
    """Whether the lock's process is of this machine and has ended."""
    try:
        facts = json.loads(holder)
        machine, process, begin = facts["machine"], int(facts["process"]), facts["began"]
    except (ValueError, TypeError, KeyError):
        return False
    if machine != platform.node():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is another user's
    return bool(begin) and began(process) not in ("", begin)


def _take_away(file: Path, holder: bytes) -> None:
    """Remove a dead process's lock, and no other: another process may have done so and made its own meanwhile."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.stale")
    with suppress(FileNotFoundError):
        file.rename(aside)
        if aside.read_bytes() != holder:
            with suppress(OSError):
                os.link(aside, file)
        aside.unlink()


def _described(holder: bytes) -> str:
    try:
        facts = json.loads(holder)
        return f"process {int(facts['process'])} on {facts['machine']}"
    except (ValueError, TypeError, KeyError):
        return "another process"

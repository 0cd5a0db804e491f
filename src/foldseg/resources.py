"""Errors of libraries about missing memory, files and processes, explained for users."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from foldseg.errors import FoldsegError

_NO_MEMORY = (
    "not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory", "std::bad_alloc",
    "CUDNN_STATUS_ALLOC_FAILED", "Insufficient memory", "Failed to allocate", "unable to mmap",
)  # fmt: skip
_NO_FILES = ("Too many open files", "received 0 items of ancillary data")
_WORKER_DIED = ("DataLoader worker (pid", "Pin memory thread exited")


@contextmanager
def explain_resource_errors(memory_cures: str) -> Iterator[None]:
    """Turn errors inside the block about missing memory, files or processes into a FoldsegError that says what to do.

    `memory_cures`: what a user may do if memory is too small, as a clause without a full stop.
    """
    try:
        yield
    except FoldsegError:
        raise
    except Exception as error:
        cause = _find_cause(error)
        if cause is not None:
            raise cause from None
        explanation = explain_resources(error, memory_cures)
        if explanation is None:
            raise
        raise FoldsegError(explanation) from error


def _find_cause(error: BaseException) -> FoldsegError | None:
    """Return the FoldsegError that was raised before `error`, if there is one.

    A library that cleans up after a FoldsegError may fail, and its error then hides the first one.
    """
    earlier = error.__context__
    while earlier is not None and not isinstance(earlier, FoldsegError):
        earlier = earlier.__context__
    return earlier


def explain_resources(error: Exception, memory_cures: str) -> str | None:
    """Return a message for users, or None if `error` is about something else. See `explain_resource_errors`."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if is_out_of_files(error):
        return (
            f"too many open files ({reason}): the system lets a process open too few; allow more (ulimit -n 4096), or "
            "lower workers"
        )
    if any(words in str(error) for words in _WORKER_DIED):
        is_bus_error = "Bus error" in f"{error} {error.__cause__}"
        shared_memory = ", or that /dev/shm is full (docker run --shm-size=2g)" if is_bus_error else ""
        return (
            f"a worker process that reads images was ended from outside ({reason}): most often that means that the "
            f"system had no memory left{shared_memory}; lower workers (0: none) or batch_size"
        )
    if is_out_of_memory(error):
        return f"out of memory; {memory_cures} ({reason})"
    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
        return f"no more processes can be started ({reason}); lower workers"
    if "can't start new thread" in str(error):
        return f"no more threads can be started ({reason}); allow more (ulimit -u, ulimit -v) or lower workers"
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory is used up, on any device."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def is_out_of_files(error: Exception) -> bool:
    """Return whether an error means that no more files can be opened."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return any(words in str(error) for words in _NO_FILES)

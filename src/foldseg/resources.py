"""What the machine has run out of: errors of libraries about memory, files and processes, said in our words."""

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
def explained_resources(memory_cures: str) -> Iterator[None]:
    """Turn an error inside of the block that says what the machine has run out of into a FoldsegError with the cure.

    `memory_cures`: what a user may do where memory is too small, as a clause without a full stop.
    """
    try:
        yield
    except FoldsegError:
        raise
    except Exception as error:
        hidden = _hidden(error)
        if hidden is not None:
            raise hidden from None
        explanation = explain_resources(error, memory_cures)
        if explanation is None:
            raise
        raise FoldsegError(explanation) from error


def _hidden(error: BaseException) -> FoldsegError | None:
    """Return the FoldsegError that `error` was raised after: libraries that tidy up fail over what it left."""
    before = error.__context__
    while before is not None and not isinstance(before, FoldsegError):
        before = before.__context__
    return before


def explain_resources(error: Exception, memory_cures: str) -> str | None:
    """Return a message for a user, or None if `error` is about something else."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if is_out_of_files(error):
        return (
            f"too many open files ({reason}): the system lets a process open too few; allow more (ulimit -n 4096), or "
            "lower workers"
        )
    if any(words in str(error) for words in _WORKER_DIED):
        cause = f"{error} {error.__cause__}"
        bus = ", or that /dev/shm is full (docker run --shm-size=2g)" if "Bus error" in cause else ""
        return (
            f"a worker process that reads images was ended from outside ({reason}): most often that means that the "
            f"system had no memory left{bus}; lower workers (0: none) or batch_size"
        )
    if is_out_of_memory(error):
        return f"out of memory; {memory_cures} ({reason})"
    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
        return f"no more processes can be started ({reason}); lower workers"
    if "can't start new thread" in str(error):
        return f"no more threads can be started ({reason}); allow more (ulimit -u, ulimit -v) or lower workers"
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory is used up, on whatever device."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def is_out_of_files(error: Exception) -> bool:
    """Say whether an error means that no more files can be opened."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return any(words in str(error) for words in _NO_FILES)

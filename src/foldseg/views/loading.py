"""Loaders whose workers do not fail, die or stop unheard, however little shared memory there is.

A worker of torch's DataLoader hands its batch to a thread, and that thread puts it into shared memory. If that fails
(a container's /dev/shm holds 64 MB), the batch is lost and the parent waits for it for ever. Here the worker does so
itself, and falls back to a copy through a pipe.
"""

import errno
import logging
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from foldseg.errors import FoldsegError
from foldseg.resources import explain_resources

logger = logging.getLogger(__name__)

_POLL = 5.0  # seconds that a batch is waited for before the workers are looked at
_STOPPED_POLLS = 2  # a worker that is stopped for so long is given up
_WARNING_POLLS, _LAST_POLL = 12, 120  # without a batch
_CURES = "lower workers (0: none) or batch_size, or use a smaller view.train"
_MORE_SHARED_MEMORY = "give the container more (docker run --shm-size=2g), lower workers or use workers=0"
_IN_WORKER = "foldseg.errors.FoldsegError: "


class Prepared(Protocol):
    """What a loader yields: a batch, or an image prepared for prediction."""

    def tensors(self) -> list[Tensor]:
        """All tensors in it."""
        ...


class Samples(Protocol):
    """Samples by place; what a place is, the loader's sampler says."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any) -> Any: ...

    def name(self, place: Any) -> str:
        """The id of a sample's image, for messages."""
        ...


@dataclass(frozen=True)
class _Failure:
    """Why a worker could not prepare something."""

    message: str


@dataclass(frozen=True)
class _Parcel:
    """A pickled batch. Its tensors are in shared memory; if they are not, `copied` says why."""

    content: bytes
    copied: str = ""

    @staticmethod
    def of(batch: Prepared) -> "_Parcel":
        """Put the tensors into shared memory, or, where there is no room, copies of them into the parcel."""
        try:
            for tensor in batch.tensors():
                tensor.share_memory_()  # type: ignore[no-untyped-call]
            return _Parcel(bytes(ForkingPickler.dumps(batch)))
        except (RuntimeError, OSError) as error:
            return _Parcel(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL), str(error))

    def open(self) -> Any:
        """Return the batch."""
        if self.copied:
            _warn_of_copies(self.copied)
        return pickle.loads(self.content)

    def pin_memory(self) -> Any:
        """Open the parcel and lock its pages; torch's loader calls this."""
        return self.open().pin_memory()


@lru_cache(maxsize=1)
def _warn_of_copies(reason: str) -> None:
    logger.warning(
        "workers cannot share memory, so batches are copied, which is slower (%s). Usually /dev/shm is too small: %s",
        reason,
        _MORE_SHARED_MEMORY,
    )


class _Work(Dataset[Any]):
    """Prepares what a loader asks for: one sample, or a list of them put together by `stack`."""

    def __init__(self, samples: Samples, stack: Callable[[list[Any]], Any] | None) -> None:
        self._samples, self._stack = samples, stack

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: Any) -> Any:
        return self._sent(lambda: self._sample(place))

    def __getitems__(self, places: Sequence[Any]) -> Any:
        assert self._stack is not None
        stack = self._stack
        return self._sent(lambda: stack([self._sample(place) for place in places]))

    def _sent(self, make: Callable[[], Prepared]) -> Any:
        """Return what `make` makes: in a worker as a parcel, or as the reason why there is none."""
        if get_worker_info() is None:
            return make()
        try:
            return _Parcel.of(make())
        except Exception as error:
            return _Failure(_message(error))

    def _sample(self, place: Any) -> Any:
        try:
            return self._samples[place]
        except FoldsegError:
            raise
        except Exception as error:
            raise FoldsegError(f"{self._samples.name(place)}: could not be prepared: {_message(error)}") from error


class Loader(DataLoader[Any]):
    """A DataLoader over `samples` that raises a FoldsegError for whatever happens in its workers.

    `stack` puts the samples of a batch together; without it samples come one by one. The other settings are torch's.
    """

    def __init__(
        self, samples: Samples, stack: Callable[[list[Any]], Any] | None = None, *, workers: int, **settings: Any
    ) -> None:
        super().__init__(_Work(samples, stack), num_workers=workers, collate_fn=_as_it_is, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        with _Watchdog(getattr(self._iterator, "_workers", [])):  # those of the last epoch live on
            try:
                _check_room(self.num_workers)
                inner = super().__iter__()
            except OSError as error:
                full = error.errno == errno.ENOSPC
                reason = f"/dev/shm is full; {_MORE_SHARED_MEMORY}" if full else _message(error)
                raise FoldsegError(f"workers: {self.num_workers} could not be started: {reason}") from error
        return _Guarded(inner)


class _Guarded(Iterator[Any]):
    """Iterates over a loader's batches and looks after its workers."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __next__(self) -> Any:
        with _Watchdog(getattr(self._inner, "_workers", [])):
            item = next(self._inner)
            if isinstance(item, _Failure):
                raise FoldsegError(item.message)
            return item.open() if isinstance(item, _Parcel) else item


class _Watchdog:
    """Waits, inside of the block, for `workers` with whoever waits for them, and kills those that will never answer.

    Then, and for whatever else goes wrong inside of the block, a FoldsegError is raised.
    """

    def __init__(self, workers: Sequence[Any]) -> None:
        self._workers, self._polls, self._reason = workers, 0, ""
        self._timer: Timer | None = None

    def __enter__(self) -> None:
        if self._workers:
            self._wait()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise FoldsegError(self._reason or self._of_the_dead(error) or _message(error)) from error

    def _of_the_dead(self, error: Exception) -> str | None:
        """Say which worker was killed, where torch has met the broken pipe of one before it knew."""
        if not isinstance(error, EOFError | ConnectionError):
            return None
        for worker in self._workers:
            worker.join(1)
            if worker.exitcode is not None and worker.exitcode < 0:
                said = f"DataLoader worker (pid {worker.pid}) was killed: {signal.strsignal(-worker.exitcode)}"
                return explain_resources(RuntimeError(said), _CURES)
        return None

    def _wait(self) -> None:
        self._timer = Timer(_POLL, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """Look at the workers, in a thread; torch raises an error in the main thread when one of them is killed."""
        self._polls += 1
        stopped = [worker for worker in self._workers if _is_stopped(worker.pid)]
        waited = f"for {_POLL * self._polls:.0f} s"
        if stopped and self._polls >= _STOPPED_POLLS:
            self._reason = (
                f"the worker process {stopped[0].pid}, which reads images, was stopped from outside and is ended now; "
                "the same command goes on where it stopped"
            )
            _kill(stopped)
        elif self._polls >= _LAST_POLL:
            self._reason = (
                f"no image has come from the {len(self._workers)} worker processes {waited}, so they are ended; is the "
                "disk with the data still there? workers=0 reads without them"
            )
            _kill(self._workers)
        else:
            if self._polls == _WARNING_POLLS:
                logger.warning("no image has come from the %d worker processes %s", len(self._workers), waited)
            self._wait()


def _check_room(workers: int) -> None:
    """OSError when there is no room for the queues of so many workers: torch's loader, half made, complains at its end.

    A queue has semaphores in /dev/shm and two open files, and starting a process opens four.
    """
    queues: list[Any] = []
    files: list[int] = []
    try:
        for _ in range(workers):
            queues += [multiprocessing.Queue(), multiprocessing.Queue()]
            files += [os.dup(2), os.dup(2)]
    finally:
        for queue in queues:
            queue.close()
            queue._reader.close()
        for file in files:
            os.close(file)


def _as_it_is(batch: Any) -> Any:
    return batch


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped, as by `kill -STOP`; False where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except OSError:
        return False


def _kill(workers: Sequence[Any]) -> None:
    """Kill workers: one that is stopped would never see the signal that torch and Python send at their end."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def _message(error: Exception) -> str:
    """Say what an error is about; one of a worker comes as text with its traceback, whose last line is the message."""
    if isinstance(error, FoldsegError) or _IN_WORKER in str(error):
        return str(error).rsplit(_IN_WORKER, 1)[-1].strip()
    last = (str(error).strip().splitlines() or [""])[-1]
    return explain_resources(error, _CURES) or f"{type(error).__name__}: {last}"

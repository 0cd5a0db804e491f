"""A loader that reports every failure of its workers, and works with little shared memory.

A worker of torch's DataLoader hands its batch to a thread, and that thread puts it into shared memory. If this fails
(a container's /dev/shm often holds only 64 MB), the batch is lost and the parent waits for it for ever. Here the worker
puts the batch into shared memory itself. If there is no room, it sends a copy through a pipe.
"""

import errno
import logging
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from foldseg.errors import FoldsegError
from foldseg.views.watchdog import Watchdog, describe_error

logger = logging.getLogger(__name__)

_MORE_SHARED_MEMORY = "give the container more (docker run --shm-size=2g), lower workers or use workers=0"


class Prepared(Protocol):
    """What a loader yields: a batch to train on, or an image that is prepared for prediction."""

    def tensors(self) -> list[Tensor]:
        """Return all tensors in it."""
        ...


class Samples(Protocol):
    """Samples by place. A place is what the loader's sampler yields, e.g. (epoch, index)."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any) -> Any: ...

    def get_id(self, place: Any) -> str:
        """Return the id of a sample's image, for messages."""
        ...


@dataclass(frozen=True)
class _Failure:
    """Why a worker could not prepare something."""

    message: str


@dataclass(frozen=True)
class _PickledBatch:
    """A batch on its way from a worker. Its tensors are in shared memory, or `copy_reason` says why they are not."""

    content: bytes
    copy_reason: str = ""

    @staticmethod
    def of(batch: Prepared) -> "_PickledBatch":
        """Pickle a batch: its tensors are moved into shared memory, or copied if there is no room."""
        try:
            for tensor in batch.tensors():
                tensor.share_memory_()  # type: ignore[no-untyped-call]
            return _PickledBatch(bytes(ForkingPickler.dumps(batch)))
        except (RuntimeError, OSError) as error:
            return _PickledBatch(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL), str(error))

    def load(self) -> Any:
        """Return the batch."""
        if self.copy_reason:
            _warn_of_copies(self.copy_reason)
        return pickle.loads(self.content)

    def pin_memory(self) -> Any:
        """Return the batch with its memory pages locked. Torch's loader calls this."""
        return self.load().pin_memory()


@lru_cache(maxsize=1)
def _warn_of_copies(reason: str) -> None:
    logger.warning(
        "workers cannot share memory, so batches are copied, which is slower (%s). Usually /dev/shm is too small: %s",
        reason,
        _MORE_SHARED_MEMORY,
    )


class _WorkerDataset(Dataset[Any]):
    """Prepares samples in a worker: one sample, or a list of them that `stack` makes into a batch."""

    def __init__(self, samples: Samples, stack: Callable[[list[Any]], Any] | None) -> None:
        self._samples, self._stack = samples, stack

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: Any) -> Any:
        return self._prepare(lambda: self._sample(place))

    def __getitems__(self, places: Sequence[Any]) -> Any:
        assert self._stack is not None
        stack = self._stack
        return self._prepare(lambda: stack([self._sample(place) for place in places]))

    def _prepare(self, build: Callable[[], Prepared]) -> Any:
        """Return what `build` returns. In a worker it is pickled, and an error becomes a `_Failure`."""
        if get_worker_info() is None:
            return build()
        try:
            return _PickledBatch.of(build())
        except Exception as error:
            return _Failure(describe_error(error))

    def _sample(self, place: Any) -> Any:
        try:
            return self._samples[place]
        except FoldsegError:
            raise
        except Exception as error:
            raise FoldsegError(
                f"{self._samples.get_id(place)}: could not be prepared: {describe_error(error)}"
            ) from error


class Loader(DataLoader[Any]):
    """A DataLoader over `samples` that raises a FoldsegError for everything that goes wrong in its workers.

    `stack` puts the samples of a batch together. Without it the loader yields single samples. The other settings are
    those of torch's DataLoader.
    """

    def __init__(
        self, samples: Samples, stack: Callable[[list[Any]], Any] | None = None, *, workers: int, **settings: Any
    ) -> None:
        super().__init__(_WorkerDataset(samples, stack), num_workers=workers, collate_fn=_unchanged, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        persistent_workers = getattr(self._iterator, "_workers", [])
        with Watchdog(persistent_workers):
            try:
                _check_room(self.num_workers)
                iterator = super().__iter__()
            except OSError as error:
                is_full = error.errno == errno.ENOSPC
                reason = f"/dev/shm is full; {_MORE_SHARED_MEMORY}" if is_full else describe_error(error)
                raise FoldsegError(f"workers: {self.num_workers} could not be started: {reason}") from error
        return _WatchedIterator(iterator)


class _WatchedIterator(Iterator[Any]):
    """Iterates over a loader's batches and watches its workers."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def __next__(self) -> Any:
        with Watchdog(getattr(self._iterator, "_workers", [])):
            item = next(self._iterator)
            if isinstance(item, _Failure):
                raise FoldsegError(item.message)
            return item.load() if isinstance(item, _PickledBatch) else item


def _check_room(workers: int) -> None:
    """Raise OSError if there is no room for the queues and files of so many workers.

    It is tried here since a DataLoader that fails halfway prints errors of its own later. A queue has semaphores in
    /dev/shm and two open files, and starting a process opens four.
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


def limit_threads(_: int) -> None:
    """Forbid OpenCV's own threads in a worker: the workers are parallel already. Torch calls this in each worker."""
    cv2.setNumThreads(0)


def _unchanged(batch: Any) -> Any:
    return batch

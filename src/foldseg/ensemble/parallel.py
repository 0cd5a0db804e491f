"""Many images through one function, in processes side by side."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TypeVar

import cv2
from tqdm import tqdm

from foldseg.errors import FoldsegError

_WAITING = 4
"""Images per worker that are under way at a time. It bounds memory, whatever the number of images."""

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def map_in_processes(
    function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int, what: str
) -> Iterator[ResultT]:
    """Yield what `function` returns for each task, in the order of tasks, with only a few results in memory.

    `workers` 1 works in this process. Otherwise `function`, tasks and results should be of modules that do not import
    torch, since every worker imports them. FoldsegError if memory is short, or a file or process fails. Other errors of
    `function` are passed on.
    """
    with tqdm(total=len(tasks), desc=what, unit="image", leave=False, disable=None) as bar:
        guarded = partial(_call_and_explain, function)
        for result in map(guarded, tasks) if workers == 1 else _map_in_pool(guarded, tasks, workers):
            bar.update()
            yield result


def _call_and_explain(function: Callable[[TaskT], ResultT], task: TaskT) -> ResultT:
    """Call `function`; turn an error about memory or files into a FoldsegError that names the task's image."""
    try:
        return function(task)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        raise FoldsegError(
            f"{_name(task)}: does not fit into memory; lower `workers`, or give it more memory"
        ) from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise FoldsegError(f"{_name(task)}: {error.strerror or error}{where}") from error


def _name(task: object) -> str:
    return str(getattr(task, "id", task))


def _map_in_pool(function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int) -> Iterator[ResultT]:
    context = multiprocessing.get_context("spawn")  # torch's and OpenCV's threads do not survive a fork
    todo = iter(tasks)
    try:
        with ProcessPoolExecutor(workers, context, _start_worker) as pool:
            try:
                with _without_interrupts():
                    running = deque(pool.submit(function, task) for task in islice(todo, _WAITING * workers))
                while running:
                    yield running.popleft().result()
                    running.extend(pool.submit(function, task) for task in islice(todo, 1))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # after an error, no waiting task is begun
    except BrokenProcessPool as error:
        raise FoldsegError(
            f"workers: one of the {workers} blending processes was killed, most often since memory ran out; use fewer"
        ) from error
    except OSError as error:  # those of `function` have become a FoldsegError
        raise FoldsegError(
            f"workers: {workers} blending processes could not be started: {error.strerror or error}; lower it, or "
            "raise what the system allows (`ulimit -n`, `ulimit -u`)"
        ) from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl+C back: processes that are started within the block ignore it. This process gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Turn OpenCV's own threads off, since there is a process per core already; end with the parent process."""
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Workers hold the pool's queue open themselves, so a worker whose parent was killed would wait for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

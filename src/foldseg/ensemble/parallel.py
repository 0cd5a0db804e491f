"""Many images through one function, in processes side by side."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import cv2
from tqdm import tqdm

from foldseg.errors import FoldsegError

_WAITING = 4  # images per worker that are in flight: memory is theirs, however many images there are

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def processed(
    function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int, what: str
) -> Iterator[ResultT]:
    """Results in the order of tasks, only a few of them in memory; `workers` 1 works in this process.

    `function` is one of a module that imports no torch, and so are tasks and results.
    """
    with tqdm(total=len(tasks), desc=what, unit="image", leave=False, disable=None) as bar:
        for result in map(function, tasks) if workers == 1 else _side_by_side(function, tasks, workers):
            bar.update()
            yield result


def _side_by_side(function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int) -> Iterator[ResultT]:
    context = multiprocessing.get_context("spawn")  # torch's and OpenCV's threads do not survive a fork
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        todo = iter(tasks)
        running = deque(pool.submit(function, task) for task in islice(todo, _WAITING * workers))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(function, task) for task in islice(todo, 1))
        except BrokenProcessPool as error:
            raise FoldsegError(
                f"workers: one of the {workers} blending processes was killed, most often for want of memory; lower it"
            ) from error


def _start_worker() -> None:
    """Processes are the parallelism here; OpenCV's own threads would only fight them. End with the parent process."""
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A pool's workers hold its queue open themselves, so one whose parent was killed would wait for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

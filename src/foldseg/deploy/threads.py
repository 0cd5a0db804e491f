"""Reading and writing in threads while the device works: decoding and encoding release Python's lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def thread_pool(number: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads. Work that has not begun when the block ends, or an error leaves it, is cancelled."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], depth: int) -> Iterator[R]:
    """Yield `function(item)` in the order of `items`, computed in the pool at most `depth` items ahead.

    `items` is consumed in the thread of the caller. An error of `function` is raised at its item.
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

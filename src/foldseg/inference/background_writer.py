"""A thread that compresses and writes files while the device goes on."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WAITING_JOBS = 4  # each holds an image's maps in memory

Job = Callable[[], None]


@contextmanager
def background_writer() -> Iterator[Callable[[Job], None]]:
    """Yield a function that takes a job and has it done in another thread. It waits when that thread falls behind.

    When the block ends, also by an error or Ctrl+C, all jobs that were handed over are done first. The first error of
    a job (a full disk, with its file's name) is raised by the next call, or at the end of the block. Jobs that come
    after it are not done.
    """
    jobs: queue.Queue[Job | None] = queue.Queue(_WAITING_JOBS)
    errors: list[BaseException] = []

    def work() -> None:
        while (job := jobs.get()) is not None:
            if errors:
                continue  # go on emptying the queue, so that the other thread does not wait for ever
            try:
                job()
            except BaseException as error:
                errors.append(error)

    def hand_over(job: Job) -> None:
        if errors:
            raise errors[0]
        jobs.put(job)

    thread = threading.Thread(target=work, name="writer", daemon=True)
    thread.start()
    try:
        yield hand_over
    finally:
        jobs.put(None)
        thread.join()
    if errors:
        raise errors[0]

"""Files that are compressed and written by a thread while the device goes on."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WAITING = 4  # jobs: memory is theirs, however many images there are

Job = Callable[[], None]


@contextmanager
def background_writer() -> Iterator[Callable[[Job], None]]:
    """Yield a function that takes a job, does it in another thread, and waits itself when that one falls behind.

    When the block ends, by whatever error or Ctrl+C, all jobs that were handed over are done first. The first error of
    a job (a full disk, with its file's name) is raised by the next call, or at the end of the block, and what comes
    after it is not tried.
    """
    jobs: queue.Queue[Job | None] = queue.Queue(_WAITING)
    errors: list[BaseException] = []

    def work() -> None:
        while (job := jobs.get()) is not None:
            if errors:
                continue  # so that nobody waits for a place
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

"""Watches the worker processes of a loader, and turns everything that goes wrong in them into a FoldsegError."""

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

from foldseg.errors import FoldsegError
from foldseg.resources import explain_resources

logger = logging.getLogger(__name__)

_POLL = 5.0  # seconds between two looks at the workers while a batch is waited for
_STOPPED_POLLS = 2  # a worker that is stopped for so many polls is killed
_WARNING_POLLS, _LAST_POLL = 12, 120  # after so many polls without a batch: warn, kill all workers
_CURES = "lower workers (0: none) or batch_size, or use a smaller view.train"
_IN_WORKER = "foldseg.errors.FoldsegError: "  # begins the message in the traceback of a worker's error


class Watchdog:
    """Watches `workers` while the code in its block waits for them, and kills those that will never answer.

    Every error in the block becomes a FoldsegError, which says what happened to the workers if it is known.
    """

    def __init__(self, workers: Sequence[Any]) -> None:
        self._workers, self._polls, self._reason = workers, 0, ""
        self._timer: Timer | None = None

    def __enter__(self) -> None:
        if self._workers:
            self._start_timer()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise FoldsegError(self._reason or self._explain_killed_worker(error) or describe_error(error)) from error

    def _explain_killed_worker(self, error: Exception) -> str | None:
        """Return which worker was killed, if torch saw the broken pipe first. None if no worker was killed."""
        if not isinstance(error, EOFError | ConnectionError):
            return None
        for worker in self._workers:
            worker.join(1)
            if worker.exitcode is not None and worker.exitcode < 0:
                torch_message = f"DataLoader worker (pid {worker.pid}) was killed: {signal.strsignal(-worker.exitcode)}"
                return explain_resources(RuntimeError(torch_message), _CURES)
        return None

    def _start_timer(self) -> None:
        self._timer = Timer(_POLL, self._check_workers)
        self._timer.daemon = True
        self._timer.start()

    def _check_workers(self) -> None:
        """Kill workers that will not answer. Runs in a thread; torch then raises an error in the main thread."""
        self._polls += 1
        stopped = [worker for worker in self._workers if _is_stopped(worker.pid)]
        waiting_time = f"for {_POLL * self._polls:.0f} s"
        if stopped and self._polls >= _STOPPED_POLLS:
            self._reason = (
                f"the worker process {stopped[0].pid}, which reads images, was stopped from outside and is ended now; "
                "the same command goes on where it stopped"
            )
            _kill(stopped)
        elif self._polls >= _LAST_POLL:
            self._reason = (
                f"no image has come from the {len(self._workers)} worker processes {waiting_time}, so they are ended; "
                "is the disk with the data still there? workers=0 reads without them"
            )
            _kill(self._workers)
        else:
            if self._polls == _WARNING_POLLS:
                logger.warning("no image has come from the %d worker processes %s", len(self._workers), waiting_time)
            self._start_timer()


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped, e.g. by `kill -STOP`. False where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except OSError:
        return False


def _kill(workers: Sequence[Any]) -> None:
    """Kill workers by SIGKILL: a stopped one would never see the signals that torch and Python send at their end."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def describe_error(error: Exception) -> str:
    """Return what an error says. A worker's error is a text with its traceback, whose last line is the message."""
    if isinstance(error, FoldsegError) or _IN_WORKER in str(error):
        return str(error).rsplit(_IN_WORKER, 1)[-1].strip()
    last = (str(error).strip().splitlines() or [""])[-1]
    return explain_resources(error, _CURES) or f"{type(error).__name__}: {last}"

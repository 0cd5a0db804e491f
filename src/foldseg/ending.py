"""How a command ends: its exit status, and the last message on the terminal.

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | something that the user can mend, which the message names |
| 2 | wrong words on the command line |
| 70 | a defect of foldseg |
| 130 | interrupted |
| 141 | nobody reads what is printed |
| 143 | asked to end (SIGTERM) |
"""

import errno
import logging
import os
import re
import select
import shlex
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from foldseg.errors import FoldsegError, printable
from foldseg.resources import explain_resources

_SECONDS_TO_END = 20.0
_MISTAKE, _DEFECT, _INTERRUPTED, _UNREAD, _TERMINATED = 1, 70, 130, 141, 143
_CHATTY = ("pytorch_lightning", "lightning", "httpx", "huggingface_hub", "matplotlib")
"""Libraries of which only errors are logged."""
_TRACEBACK_START = "Traceback (most recent call last):"
_MEMORY_CURES = "use smaller pictures, smaller batches or fewer workers"
_CURES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EMFILE: "allow more open files (ulimit -n 4096), or use fewer workers",
    errno.ENFILE: "allow more open files, or use fewer workers",
    errno.EACCES: "change its permissions, or use another place",
    errno.EPERM: "change its permissions, or use another place",
    errno.EROFS: "use a place that can be written to",
    errno.ENAMETOOLONG: "use shorter names",
    errno.ESTALE: "the file server has lost it; mount it again",
    errno.EIO: "the disk or the file server fails",
}
"""Number of an error of the operating system -> what the user may do."""

_goes_on = True  # whether the same command, given again, goes on where it was stopped


def begin_anew_after_interruption() -> None:
    """Make an interrupted command say that the same command begins anew. By default it says that it goes on."""
    global _goes_on
    _goes_on = False


class _Terminated(BaseException):
    """Raised on SIGTERM. It is no Exception, or code that handles errors would go on after it."""


def run(main: Callable[[], object]) -> NoReturn:
    """Call `main` and end the process. If anything goes wrong, one clear message says what.

    With FOLDSEG_TRACEBACK=1 in the environment the traceback is printed as well.
    """
    _make_streams_robust()
    log_to_terminal()
    _raise_on_sigterm()
    try:
        main()
        sys.stdout.flush()
        status = 0
    except SystemExit as end:
        # Lightning turns Ctrl+C into a silent exit
        is_interrupted = isinstance(end.__context__, KeyboardInterrupt)
        status = _explain(KeyboardInterrupt()) if is_interrupted else _exit_status(end)
    except BaseException as error:
        status = _explain(error)
    if status in (_INTERRUPTED, _TERMINATED):
        _exit_in_time(status)
    sys.exit(_flush(status))


def _exit_in_time(status: int) -> None:
    """End the process after `_SECONDS_TO_END`, if Python has not ended by then.

    A worker process that is killed while it sends a result leaves a thread of its pool waiting for the rest. Python
    would wait for that thread for ever.
    """
    timer = threading.Timer(_SECONDS_TO_END, os._exit, [status])
    timer.daemon = True
    timer.start()


def _exit_status(end: SystemExit) -> int:
    """Return the status of an exit. If it has a message in place of a status, print it."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    _print_error(str(end.code))
    return _MISTAKE


def _explain(error: BaseException) -> int:
    """Print on standard error what went wrong; return the exit status."""
    if os.environ.get("FOLDSEG_TRACEBACK", "") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | _Terminated):
        is_terminated = isinstance(error, _Terminated)
        outcome = "goes on where it stopped" if _goes_on else "begins anew"
        _print_error(f"{'terminated' if is_terminated else 'interrupted'}; the same command {outcome}")
        return _TERMINATED if is_terminated else _INTERRUPTED
    if isinstance(error, BrokenPipeError) and _is_output_unread():
        return _UNREAD
    if isinstance(error, FoldsegError):
        _print_error(f"error: {_own_message(error)}")
    elif isinstance(error, Exception) and (explanation := explain_resources(error, _MEMORY_CURES)):
        _print_error(f"error: {explanation}")
    elif isinstance(error, OSError):
        _print_error(f"error: {_describe_system_error(error)}")
    else:
        _print_error(_report_defect(error))
        return _DEFECT
    return _MISTAKE


def _own_message(error: BaseException) -> str:
    """Return an error's message. If it holds the traceback of a worker process, return the message of that error."""
    text = str(error).strip()
    if _TRACEBACK_START in text:
        parts = re.split(r"^(?:[\w.]*\.)?\w+(?:Error|Exception|Interrupt): ", text, flags=re.MULTILINE)
        text = parts[-1].strip()
    return text


def _describe_system_error(error: OSError) -> str:
    """Return `FILE: what is wrong; what to do`."""
    problem = error.strerror or _own_message(error) or type(error).__name__
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    cure = _CURES.get(error.errno or 0, "")
    return (f"{files}: " if files else "") + problem + (f"; {cure}" if cure else "")


def _report_defect(error: BaseException) -> str:
    """Write the traceback of a defect to a file; return the message for the user."""
    details = "".join(traceback.format_exception(error))
    first_line = _own_message(error).partition("\n")[0]
    message = f"error: this is a defect of foldseg, not of your input: {type(error).__name__}: {first_line}"
    try:
        path = tempfile.mkstemp(".txt", f"foldseg-defect-{time.strftime('%Y%m%d-%H%M%S')}-")[1]
        Path(path).write_text(f"$ {shlex.join(sys.argv)}\n\n{details}", "utf-8", "backslashreplace")
    except OSError:
        return f"{details}{message}; please report it with the lines above, unless you changed the code"
    return f"{message}; please report it with the file {path}. If you changed the code, FOLDSEG_TRACEBACK=1 shows where"


def _print_error(text: str) -> None:
    print(printable(text), file=sys.stderr)  # noqa: T201


def _make_streams_robust() -> None:
    """Make printing succeed for every character, and also if a stream was closed before the command began."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # it stays open until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_output_unread() -> bool:
    """Return whether standard output is a pipe whose reader has ended.

    A BrokenPipeError alone does not say so: it may come from the pipe to a worker process.
    """
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _flush(status: int) -> int:
    """Flush standard output; return the exit status. If Python flushed it at its end, an error would be a traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _explain(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _raise_on_sigterm() -> None:
    """Make SIGTERM raise `_Terminated`, so that the command cleans up."""
    main_process = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() == main_process:
            signal.signal(number, signal.SIG_IGN)  # a second signal would interrupt the cleaning up
            raise _Terminated
        signal.signal(number, signal.SIG_DFL)  # this is a process that a library has forked: it ends at once
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def log_to_terminal() -> None:
    """Print the log of foldseg on standard error. Of chatty libraries only errors are printed."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        handler.addFilter(_is_worth_printing)


def _is_worth_printing(record: logging.LogRecord) -> bool:
    """Return whether a log record is an error, or not of a chatty library.

    The levels of these libraries' loggers cannot be used for this: they are reset when a library is imported.
    """
    return record.levelno >= logging.ERROR or not record.name.startswith(_CHATTY)

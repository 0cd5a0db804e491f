"""How a command ends, whatever happens, and what it says on the terminal.

Exit status: 0 done; 1 something that the user can mend, which the message names; 2 wrong words; 70 a defect of foldseg;
130 interrupted; 141 nobody reads what is printed; 143 asked to end (SIGTERM).
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
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from foldseg.errors import FoldsegError, printable
from foldseg.resources import explain_resources

_MISTAKE, _DEFECT, _INTERRUPTED, _UNREAD, _TERMINATED = 1, 70, 130, 141, 143
_CHATTY = ("pytorch_lightning", "lightning", "httpx", "huggingface_hub", "matplotlib")
_IN_WORKER = "Traceback (most recent call last):"
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


_goes_on = True  # whether the same command, given again, goes on where it was stopped


def begin_anew_after_interruption() -> None:
    """Let an interrupted command say that the same command begins anew; without this it says that it goes on."""
    global _goes_on
    _goes_on = False


class _Terminated(BaseException):
    """SIGTERM has come; no Exception, so that nobody takes it for an error to go on from."""


def run(main: Callable[[], object]) -> NoReturn:
    """Call `main` and end the process, with one clear message for whatever goes wrong.

    With FOLDSEG_TRACEBACK=1 in the environment the traceback is shown as well.
    """
    _make_streams_robust()
    log_to_terminal()
    _raise_on_sigterm()
    try:
        main()
        sys.stdout.flush()
        status = 0
    except SystemExit as end:
        # Lightning turns Ctrl+C into an exit in silence
        interrupted = isinstance(end.__context__, KeyboardInterrupt)
        status = _explain(KeyboardInterrupt()) if interrupted else _status_of(end)
    except BaseException as error:
        status = _explain(error)
    sys.exit(_flushed(status))


def _status_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    _say(str(end.code))
    return _MISTAKE


def _explain(error: BaseException) -> int:
    """Say on standard error what went wrong; return the exit status."""
    if os.environ.get("FOLDSEG_TRACEBACK", "") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | _Terminated):
        stopped = isinstance(error, _Terminated)
        again = "goes on where it stopped" if _goes_on else "begins anew"
        _say(f"{'terminated' if stopped else 'interrupted'}; the same command {again}")
        return _TERMINATED if stopped else _INTERRUPTED
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return _UNREAD
    if isinstance(error, FoldsegError):
        _say(f"error: {_last_line(error)}")
    elif isinstance(error, Exception) and (explanation := explain_resources(error, _MEMORY_CURES)):
        _say(f"error: {explanation}")
    elif isinstance(error, OSError):
        _say(f"error: {_of_system(error)}")
    else:
        _say(_defect(error))
        return _DEFECT
    return _MISTAKE


def _last_line(error: BaseException) -> str:
    """Return an error's message; where it comes with the traceback of a worker process, that worker's message."""
    text = str(error).strip()
    if _IN_WORKER in text:
        found = re.split(r"^(?:[\w.]*\.)?\w+(?:Error|Exception|Interrupt): ", text, flags=re.MULTILINE)
        text = found[-1].strip()
    return text


def _of_system(error: OSError) -> str:
    what = error.strerror or _last_line(error) or type(error).__name__
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    cure = _CURES.get(error.errno or 0, "")
    return (f"{files}: " if files else "") + what + (f"; {cure}" if cure else "")


def _defect(error: BaseException) -> str:
    """Write the traceback to a file; return what to say."""
    about = "".join(traceback.format_exception(error))
    told = f"error: this is a defect of foldseg, not of your input: {type(error).__name__}: {_first_line(error)}"
    try:
        path = tempfile.mkstemp(".txt", f"foldseg-defect-{time.strftime('%Y%m%d-%H%M%S')}-")[1]
        Path(path).write_text(f"$ {shlex.join(sys.argv)}\n\n{about}", "utf-8", "backslashreplace")
    except OSError:
        return f"{about}{told}; please report it with the lines above"
    return f"{told}; please report it with the file {path}, or see it with FOLDSEG_TRACEBACK=1"


def _first_line(error: BaseException) -> str:
    return _last_line(error).partition("\n")[0]


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)  # noqa: T201


def _make_streams_robust() -> None:
    """Let printing never fail for a character's sake, nor because a stream was closed before the command began."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # as long as the process lives
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Whether what standard output is piped into has ended; other pipes, to workers, may be broken, too."""
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _flushed(status: int) -> int:
    """Flush standard output, so that Python need not at its end, where an error would be a traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _explain(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _raise_on_sigterm() -> None:
    mine = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() == mine:
            signal.signal(number, signal.SIG_IGN)  # a second one would hurt the cleaning up
            raise _Terminated
        signal.signal(number, signal.SIG_DFL)  # a forked process of a library
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def log_to_terminal() -> None:
    """Show what this project logs, and of its libraries the errors alone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        handler.addFilter(_not_chatter)


def _not_chatter(record: logging.LogRecord) -> bool:
    """Leave out what libraries say of themselves; they reset their own loggers' levels when they are imported."""
    return record.levelno >= logging.ERROR or not record.name.startswith(_CHATTY)

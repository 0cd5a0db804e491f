"""Import the whole package and its libraries once, then fork a process for every command that is asked for.

Started by `command.line`. Reads one JSON object a line from standard input:

`argv`: foldseg, a verb and its words; `program`: a Python file that stands in for foldseg, or ""; `cwd`; `env`
`folder`: where `stdin` lies, and where `stdout`, `stderr`, `pid` and `status` are written
`limits`: name of the resource module -> value
`disks`: folder -> bytes; the command alone sees a disk of that size mounted there
"""

import atexit
import ctypes
import gc
import importlib
import json
import logging
import os
import pkgutil
import resource
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

import foldseg

_LATE = (  # what commands import only when they need it
    "av",
    "matplotlib.backends.backend_agg",
    "onnx",
    "onnxruntime",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
)
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_PRIVATE = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC


def serve() -> dict:
    """Answer requests until the input ends; return the request in the process that is to be the command."""
    bystander = logging.NullHandler()  # or Lightning would think that nobody shows what it logs, and show it itself
    logging.getLogger().addHandler(bystander)
    ours = [module.name for module in pkgutil.walk_packages(foldseg.__path__, "foldseg.")]
    for name in (*ours, *_LATE):
        if name != "foldseg.__main__":
            importlib.import_module(name)
    logging.getLogger().removeHandler(bystander)
    gc.freeze()  # a collection in a command would copy all of the memory that it shares with this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    print("ready", flush=True)  # noqa: T201
    while line := sys.stdin.readline():
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return supervise(json.loads(line))
    os._exit(0)


def supervise(request: dict) -> dict:
    """Fork the command and write down how it ended; return in the command's own process."""
    folder = Path(request["folder"])
    command = os.fork()
    if command == 0:
        become(request, folder)
        return request
    while os.getpgid(command) != command:  # until it leads a group of its own, or a signal to that would miss it
        time.sleep(0.001)
    write(folder / "pid", str(command))
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    write(folder / "status", str(status))
    os._exit(0)


def become(request: dict, folder: Path) -> None:
    """Take on the surroundings of a command that was started from a terminal."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the background jobs of a shell ignore
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        os.dup2(os.open(folder / name, flags), number)
    for path, size in request["disks"].items():
        mount(path, size)
    for name, value in request["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))


def mount(path: str, size: int) -> None:
    """Mount an empty disk of `size` bytes on `path`, for this process and its children alone. Wants root, and Linux."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = (
        lambda: libc.unshare(_NEW_MOUNTS),
        lambda: libc.mount(b"none", b"/", None, _PRIVATE, None),
        lambda: libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, f"size={size}".encode()),
    )
    for step in steps:
        if step() != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def write(path: Path, text: str) -> None:
    """Write a file that appears whole."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)


def run_command(program: str) -> int:
    """Run `python -m foldseg`, or a program in its place; return its exit status."""
    try:
        if program:
            sys.path[0] = str(Path(program).parent)
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module("foldseg", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(status: int) -> NoReturn:
    """Do what Python does at the end of a process, without freeing all modules: that takes seconds after a fork."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = 120
    os._exit(status)


if __name__ == "__main__":
    request = serve()
    sys.argv = request["argv"]
    try:
        end(run_command(request["program"]))
    finally:  # a forked process that ends as Python does would wait for threads that it does not have
        os._exit(1)

"""Run the project's commands as a user does: in a process of their own, with words, an exit status and two streams.

Importing torch and its kin takes seconds, so the processes are forked from one that has imported them (`server.py`).
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_SERVER = Path(__file__).with_name("server.py")


@dataclass(frozen=True)
class Finished:
    """How a command ended. `status`: its exit status, or minus the number of the signal that killed it."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All that was printed: standard error, then standard output."""
        return self.stderr + self.stdout


@dataclass
class Started:
    """A command that runs."""

    folder: Path

    @property
    def pid(self) -> int:
        """Its process, which leads a process group."""
        _wait_for(self.folder / "pid", 60)
        return int((self.folder / "pid").read_text())

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return "".join((self.folder / name).read_text(errors="replace") for name in ("stderr", "stdout"))

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not (self.folder / "status").is_file()

    def wait_to_say(self, text: str, seconds: float = 120) -> None:
        """Wait until it has printed `text`."""
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.is_running(), f"ended without saying {text!r}: {self.said}"
            assert time.monotonic() < end, f"did not say {text!r} in {seconds} s: {self.said}"
            time.sleep(0.01)

    def kill(self, number: signal.Signals = signal.SIGKILL, *, group: bool = True) -> None:
        """Send a signal to it, and to its children unless `group` is False."""
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = 300) -> Finished:
        """Wait until it ends. AssertionError, with what it printed, when that takes too long; it is killed then."""
        try:
            _wait_for(self.folder / "status", seconds)
        except TimeoutError:
            self.kill()
            raise AssertionError(f"still there after {seconds} s: {self.said}") from None
        read = [(self.folder / name).read_text(errors="replace") for name in ("status", "stdout", "stderr")]
        return Finished(int(read[0]), *read[1:])


@dataclass
class CommandLine:
    """Runs the verbs of `foldseg`; `folder` is where their streams are kept."""

    folder: Path
    _numbers: itertools.count = field(default_factory=itertools.count)
    _server: "subprocess.Popen[str] | None" = None

    def start(
        self,
        verb: str,
        *words: object,
        program: Path | None = None,
        cwd: Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Mapping[str, int] | None = None,
        disks: Mapping[Path, int] | None = None,
    ) -> Started:
        """Start `foldseg VERB WORDS`.

        `program`: a Python file that stands in for the command `foldseg`. `limits`: of the module resource, e.g.
        {"RLIMIT_NOFILE": 64}. `disks`: folders on which the command alone sees an empty disk of so many bytes (see
        `can_mount`).
        """
        folder = self.folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        (folder / "stdin").write_bytes(stdin)
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        request = {
            "argv": ["foldseg", verb, *map(str, words)],
            "program": "" if program is None else str(program),
            "cwd": str(cwd),
            "env": dict(env or {}),
            "folder": str(folder),
            "limits": dict(limits or {}),
            "disks": {str(path): size for path, size in (disks or {}).items()},
        }
        self.send(request)
        return Started(folder)

    def send(self, request: Mapping[str, object]) -> None:
        """Let the server start a command; `server.py` says what a request holds."""
        server = self._running_server()
        assert server.stdin is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()

    def run(self, verb: str, *words: object, seconds: float = 300, **surroundings: object) -> Finished:
        """Start a verb as `start` does and wait for its end."""
        return self.start(verb, *words, **surroundings).wait(seconds)  # type: ignore[arg-type]

    def stop(self) -> None:
        """End the server; commands that run go on."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait(30)

    def _running_server(self) -> "subprocess.Popen[str]":
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, str(_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
            )
            assert self._server.stdout is not None
            assert self._server.stdout.readline() == "ready\n", "the server of commands did not start"
        return self._server


def can_mount() -> bool:
    """Whether a command can be given a disk of its own here."""
    return sys.platform == "linux" and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


def _wait_for(path: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} did not appear in {seconds} s")
        time.sleep(0.005)

"""Run a block of shell commands as a reader does, with `bash`; commands of foldseg are forked from a warm process."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from command.line import CommandLine, Started

_CLIENT = Path(__file__).with_name("client.py")
_STAND_IN = '#!/bin/sh\nexec "{python}" -S -E "{client}" "{requests}" "{python}" "$0" "$@"\n'


@dataclass(frozen=True)
class Ran:
    """How a block ended. `commands`: each command of foldseg, with its exit status, in the order of their ends."""

    status: int
    output: str
    commands: list[tuple[str, int]]


@dataclass
class Shell:
    """Runs commands in a project's folder; `requests` is a folder of its own."""

    project: Path
    requests: Path
    line: CommandLine

    def __post_init__(self) -> None:
        """Write the commands that stand in for those of a project's environment."""
        self.requests.mkdir(parents=True)
        os.mkfifo(self.requests / "line")
        programs = self.project / ".venv/bin"
        programs.mkdir(parents=True, exist_ok=True)
        text = _STAND_IN.format(python=sys.executable, client=_CLIENT, requests=self.requests)
        for name in ("foldseg", "python", "python3"):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        for name in ("pip", "uv", "git", "curl", "wget"):
            (programs / name).write_text(f"#!/bin/sh\necho {name}: not in a test >&2\nexit 99\n")
            (programs / name).chmod(0o755)
        (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
        (self.project / ".venv/installed").touch()

    def run(self, script: str, seconds: float = 300) -> Ran:
        """Run a script until its first failure. AssertionError when it takes longer than `seconds`."""
        before = set(self.requests.iterdir())
        path = f"{self.project}/.venv/bin:/usr/local/bin:/usr/bin:/bin"
        env = os.environ | {"PATH": path, "HOME": str(self.requests)}
        printed = self.requests / "printed"
        end = time.monotonic() + seconds
        with printed.open("w") as stream:
            process = subprocess.Popen(
                ["bash", "-eu", "-c", script],
                cwd=self.project, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            )  # fmt: skip
            self._serve(process, end)
        folders = sorted(set(self.requests.glob("command_*")) - before, key=lambda folder: folder.stat().st_mtime)
        for folder in folders:  # one that a script left behind in the background
            Started(folder).wait(max(end - time.monotonic(), 1))
        return Ran(process.returncode, printed.read_text(errors="replace"), [_read_command(path) for path in folders])

    def _serve(self, process: "subprocess.Popen[bytes]", end: float) -> None:
        """Pass requests on until the script ends."""
        pipe = os.open(self.requests / "line", os.O_RDWR | os.O_NONBLOCK)
        with os.fdopen(pipe, "rb", buffering=0) as requests:
            waiting = b""
            while process.poll() is None:
                if time.monotonic() > end:
                    process.kill()
                    raise AssertionError(f"takes too long: {process.args}")
                if select.select([requests], [], [], 0.01)[0]:
                    *whole, waiting = (waiting + (requests.read(65536) or b"")).split(b"\n")
                    for request in whole:
                        self.line.send(json.loads(request))


def _read_command(folder: Path) -> tuple[str, int]:
    return (folder / "command").read_text(), int((folder / "status").read_text())

"""Images side by side: results in order, and worker processes that end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foldseg.ensemble.parallel import map_in_processes
from foldseg.errors import FoldsegError

PARENT = """
import os, time
from foldseg.ensemble.parallel import map_in_processes
def pid(_):
    return os.getpid()
if __name__ == "__main__":
    for worker in map_in_processes(pid, range(9), 2, "waiting"):
        print(worker, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_tasks(workers: int) -> None:
    assert list(map_in_processes(abs, range(-20, 0), workers, "counting")) == list(range(20, 0, -1))


def test_a_worker_that_is_killed_is_told_of() -> None:
    with pytest.raises(FoldsegError, match="workers: one of the 2 blending processes was killed"):
        list(map_in_processes(os._exit, [1, 1], 2, "dying"))


def test_worker_processes_end_when_their_parent_is_killed(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return
    state = Path(f"/proc/{worker}/stat").read_text().split()[2]
    assert state == "Z", "the worker outlived its parent"

"""One image through an ensemble: memory, and worker processes that end with their parent."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

from foldseg.data import signate
from foldseg.ensemble.image import Task, process
from foldseg.inference.store import PredictionStore

PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from foldseg.ensemble.image import start_worker
if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), start_worker) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def peak_of(members: int, folder: Path) -> int:
    """Bytes that are allocated, at most, while one image of `members` members is processed."""
    labels = signate.LABELS.view("scored")
    store = PredictionStore(folder)
    store.write("a", np.random.default_rng(0).integers(0, 256, (len(labels), 200, 300), np.uint8))
    sources = {f"member_{i}": [store] for i in range(members)}
    task = Task("a", folder / "none.jpg", None, sources, dict.fromkeys(sources, 1.0), (), labels)
    tracemalloc.start()
    process(task)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path):
    peak_of(1, tmp_path)  # what is allocated once
    assert peak_of(12, tmp_path) < 1.1 * peak_of(3, tmp_path)


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

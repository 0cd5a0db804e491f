"""Worker processes that die, fail, are stopped, or have no memory to share: an error or another way, never a hang."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from tiny_training import assert_refused, started, tiny_overrides, trained

from command.line import CommandLine, Started, can_mount

LONG = ("workers=2", "schedule.epochs=400", "early_stopping=null")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_overrides(tmp_path_factory.mktemp("toy"))


def children(pid: int) -> list[int]:
    """Processes that `pid` has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def worker_of(training: Started) -> int:
    """Wait for a process that reads training images."""
    training.wait_to_say("epoch 2/")
    while not (found := children(training.pid)):
        time.sleep(0.01)
    return found[0]


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_batches_that_do_not_fit_into_shared_memory_go_another_way(
    command_line: CommandLine, toy: list[str], tmp_path: Path
):
    large = "view.train={kind: crop, size: [256, 256]}"
    plain, full = ([*toy, f"runs={tmp_path / name}", "workers=2", large] for name in ("plain", "full"))
    done = trained(command_line, full, disks={Path("/dev/shm"): 400_000})
    assert done.status == 0 and "Traceback" not in done.stderr, done.said
    for text in ("workers cannot share memory", "/dev/shm", "--shm-size", "workers=0"):
        assert done.stderr.count(text) >= 1, done.said
    assert trained(command_line, plain).status == 0
    ours, theirs = (pd.read_csv(tmp_path / name / "toy_full/fold_0/metrics.csv") for name in ("full", "plain"))
    pd.testing.assert_frame_equal(ours.drop(columns="seconds"), theirs.drop(columns="seconds"))


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_no_shared_memory_at_all_is_told(command_line: CommandLine, toy: list[str], tmp_path: Path):
    done = trained(command_line, [*toy, f"runs={tmp_path}", "workers=2"], disks={Path("/dev/shm"): 4096})
    assert_refused(done, "workers: 2 could not be started: /dev/shm is full", "--shm-size", "workers=0")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="wants /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGBUS])
def test_a_worker_that_is_killed_is_told(
    command_line: CommandLine, toy: list[str], tmp_path: Path, how: signal.Signals
):
    training = started(command_line, [*toy, *LONG, f"runs={tmp_path}"])
    os.kill(worker_of(training), how)
    done = training.wait(60)
    assert_refused(done, "a worker process that reads images was ended from outside", "lower workers")
    assert ("/dev/shm" in done.stderr) == (how == signal.SIGBUS)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="wants /proc")
def test_a_worker_that_is_stopped_is_told(command_line: CommandLine, toy: list[str], tmp_path: Path):
    training = started(command_line, [*toy, *LONG, f"runs={tmp_path}"])
    os.kill(worker_of(training), signal.SIGSTOP)
    assert_refused(training.wait(60), "was stopped from outside", "goes on where it stopped")


@pytest.mark.parametrize("workers", [0, 2])
def test_too_few_files_are_told(command_line: CommandLine, toy: list[str], tmp_path: Path, workers: int):
    done = trained(command_line, [*toy, f"runs={tmp_path}", f"workers={workers * 6}"], limits={"RLIMIT_NOFILE": 40})
    if done.status != 0:
        assert_refused(done, "open files", "ulimit -n")
    else:
        assert workers == 0, done.said

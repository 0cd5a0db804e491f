"""Locks where a file system has none, and where the disk has no free byte."""

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from command.line import CommandLine, Started, can_mount
from foldseg.lockfile import began

WITHOUT_LOCKS = """
import errno, fcntl, os, runpy
def fail(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.lockf = fcntl.flock = fcntl.fcntl = fail
runpy.run_module("foldseg", run_name="__main__", alter_sys=True)
"""
FILLED = """
import runpy
from pathlib import Path
disk = Path({disk!r})
(disk / "ledger.csv").write_text({ledger!r})
with (disk / "fill").open("wb", buffering=0) as fill:
    fill.write(bytes(100_000))
runpy.run_module("foldseg", run_name="__main__", alter_sys=True)
"""
HEADER = "name,date,git_commit,members,folds,tta,labels,steps,score,oof,oof_low,oof_high,test,leaderboard"
ROW = "x,2025-01-01,,a*1,0,,,,dataset_miou,0.5,,,,"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "ledger.csv").write_text(f"{HEADER}\n{ROW}\n")
    return folder / "ledger.csv"


def add_score(line: CommandLine, ledger: Path, score: str) -> Started:
    """Start the command where every lock fails as on NFS without its lock service."""
    program = ledger.parent.with_name("without_locks.py")
    program.write_text(WITHOUT_LOCKS)
    return line.start("ledger", "--ledger", ledger, "add-score", "x", score, "--replace", program=program)


def holder(process: int, start: str, machine: str = platform.node()) -> str:
    return json.dumps({"machine": machine, "process": process, "began": start})


def test_a_file_stands_in_for_a_lock(command_line: CommandLine, ledger: Path) -> None:
    done = add_score(command_line, ledger, "0.7").wait()
    assert done.status == 0, done.stderr
    assert done.stderr.count("this file system has no locks; the file .ledger.csv.lock.held stands in for one") == 1
    assert "0.7" in ledger.read_text()
    assert sorted(path.name for path in ledger.parent.iterdir()) == [".ledger.csv.lock", "ledger.csv"]


def test_a_dead_process_holds_nothing(command_line: CommandLine, ledger: Path) -> None:
    """One that ended, and one whose number was given to another since."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    for process, start in ((ended.pid, "5"), (os.getpid(), "5")):
        (ledger.parent / ".ledger.csv.lock.held").write_text(holder(process, start))
        assert add_score(command_line, ledger, f"0.{process}").wait().status == 0
        assert f"0.{process}" in ledger.read_text()
        assert not (ledger.parent / ".ledger.csv.lock.held").exists()


@pytest.mark.parametrize(
    "content",
    [holder(os.getpid(), began(os.getpid())), holder(1, "5", "elsewhere"), "{"],
    ids=["alive", "elsewhere", "cut short"],
)
def test_a_living_process_and_one_elsewhere_are_waited_for(
    command_line: CommandLine, ledger: Path, content: str
) -> None:
    (ledger.parent / ".ledger.csv.lock.held").write_text(content)
    waiting = add_score(command_line, ledger, "0.7")
    waiting.wait_to_say("stands in for one")
    with pytest.raises(AssertionError, match="still there after 2 s"):
        waiting.wait(2)
    assert "0.7" not in ledger.read_text()
    assert (ledger.parent / ".ledger.csv.lock.held").read_text() == content


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_a_lock_takes_no_room(command_line: CommandLine, tmp_path: Path) -> None:
    """On a disk without a free byte the error is that of the file that cannot be written, not of the lock."""
    disk, program = tmp_path / "disk", tmp_path / "filled.py"
    disk.mkdir()
    program.write_text(FILLED.format(disk=str(disk), ledger=f"{HEADER}\n{ROW}\n"))
    words = "ledger", "--ledger", disk / "ledger.csv", "add-score", "x", "0.7"
    done = command_line.run(*words, program=program, disks={disk: 2**14})
    assert done.status == 1 and "Traceback" not in done.stderr
    assert done.stderr.endswith("ledger.csv: could not be written: No space left on device\n")


def test_the_toy_city_is_built_once_for_commands_that_start_together(command_line: CommandLine, tmp_path: Path) -> None:
    city = "data.dataset={kind: toy_city, width: 96, height: 64, train_frames: 24, test_frames: 4, seed: 1}"
    words = "configs/data/toy_city.yaml", f"data.root={tmp_path / 'city'}", f"data.folds={tmp_path / 'folds.csv'}", city
    done = [started.wait() for started in [command_line.start("folds", *words) for _ in range(2)]]
    assert [one.status for one in done] == [0, 0], done
    assert sum("building the toy city" in one.stderr for one in done) == 1
    assert not (tmp_path / "city.partial").exists()

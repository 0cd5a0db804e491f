"""Locks where a file system has none, and where the disk has no free byte."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command.line import REPOSITORY, CommandLine, can_mount
from foldseg.lockfile import began

NO_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int impl(const char *name, int fd, int cmd, void *arg) {
    if (cmd == F_SETLK || cmd == F_SETLKW) { errno = ENOLCK; return -1; }
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return real(fd, cmd, arg);
}
int fcntl(int fd, int cmd, ...) { va_list a; va_start(a, cmd); void *p = va_arg(a, void *); return impl("fcntl", fd, cmd, p); }
int fcntl64(int fd, int cmd, ...) { va_list a; va_start(a, cmd); void *p = va_arg(a, void *); return impl("fcntl64", fd, cmd, p); }
"""  # noqa: E501
HEADER = "name,date,git_commit,members,folds,tta,labels,steps,score,oof,oof_low,oof_high,test,leaderboard"


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets every lock fail as on NFS without its lock service."""
    folder = tmp_path_factory.mktemp("no_locks")
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("wants Linux and a C compiler")
    (folder / "x.c").write_text(NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "x.so", folder / "x.c", "-ldl"], check=True)
    return folder / "x.so"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "ledger.csv").write_text(f"{HEADER}\nx,2025-01-01,,a*1,0,,,,dataset_miou,0.5,,,,\n")
    return tmp_path / "ledger.csv"


def add_score(ledger: Path, score: str, library: Path, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "foldseg", "ledger", "--ledger", ledger, "add-score", "x", score, "--replace"]
    env = os.environ | {"LD_PRELOAD": str(library)}
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=env, cwd=REPOSITORY, timeout=seconds
    )


def holder(process: int, start: str, machine: str = platform.node()) -> str:
    return json.dumps({"machine": machine, "process": process, "began": start})


def test_a_file_stands_in_for_a_lock(ledger: Path, no_locks: Path) -> None:
    done = add_score(ledger, "0.7", no_locks)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("this file system has no locks; the file .ledger.csv.lock.held stands in for one") == 1
    assert "0.7" in ledger.read_text()
    assert sorted(path.name for path in ledger.parent.iterdir()) == [".ledger.csv.lock", "ledger.csv"]


def test_a_dead_process_holds_nothing(ledger: Path, no_locks: Path) -> None:
    """One that ended, and one whose number was given to another since."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    for process, start in ((ended.pid, "5"), (os.getpid(), "5")):
        (ledger.parent / ".ledger.csv.lock.held").write_text(holder(process, start))
        assert add_score(ledger, f"0.{process}", no_locks).returncode == 0
        assert f"0.{process}" in ledger.read_text()
        assert not (ledger.parent / ".ledger.csv.lock.held").exists()


@pytest.mark.parametrize(
    "content",
    [holder(os.getpid(), began(os.getpid())), holder(1, "5", "elsewhere"), "{"],
    ids=["alive", "elsewhere", "cut short"],
)
def test_a_living_process_and_one_elsewhere_are_waited_for(ledger: Path, no_locks: Path, content: str) -> None:
    (ledger.parent / ".ledger.csv.lock.held").write_text(content)
    with pytest.raises(subprocess.TimeoutExpired):
        add_score(ledger, "0.7", no_locks, seconds=6)
    assert "0.7" not in ledger.read_text()
    assert (ledger.parent / ".ledger.csv.lock.held").read_text() == content


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_a_lock_takes_no_room(command_line: CommandLine, tmp_path: Path) -> None:
    """On a disk without a free byte the error is that of the file that cannot be written, not of the lock."""
    (tmp_path / "fill.py").write_text(
        "import runpy, sys\n"
        "open(sys.argv[1] + '/fill', 'wb', 0).write(b'x' * 100000)\n"
        "del sys.argv[1]\n"
        "runpy.run_module('foldseg', run_name='__main__', alter_sys=True)\n"
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    row = f"{HEADER}\nx,2025-01-01,,a*1,0,,,,dataset_miou,0.5,,,,\n"
    command = (
        f"mount -t tmpfs -o size=16k none {disk} && printf '%s' '{row}' > {disk}/ledger.csv && "
        f"exec {sys.executable} {tmp_path}/fill.py {disk} ledger --ledger {disk}/ledger.csv add-score x 0.7"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.endswith("ledger.csv: could not be written: No space left on device\n")


def test_the_toy_city_is_built_once_for_commands_that_start_together(command_line: CommandLine, tmp_path: Path) -> None:
    city = "data.toy_city={width: 96, height: 64, train_frames: 24, test_frames: 4, seed: 1}"
    words = "configs/data/toy_city.yaml", f"data.root={tmp_path / 'city'}", f"data.folds={tmp_path / 'folds.csv'}", city
    done = [started.wait() for started in [command_line.start("folds", *words) for _ in range(2)]]
    assert [one.status for one in done] == [0, 0], done
    assert sum("building the toy city" in one.stderr for one in done) == 1
    assert not (tmp_path / "city.partial").exists()

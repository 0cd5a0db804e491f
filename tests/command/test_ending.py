"""How a command ends: one line that names the cure, an exit status, no traceback, whatever goes wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command.line import REPOSITORY

MAIN = """
import errno, logging, os, sys
from foldseg import ending
from foldseg.errors import FoldsegError
def main():
    {body}
ending.run(main)
"""


def ended(body: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", MAIN.format(body=body)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env, cwd=REPOSITORY)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("raise FoldsegError('a.png: is damaged')", 1, "error: a.png: is damaged"),
        ("raise FoldsegError('a\\x1b[31m.png: bad')", 1, "error: a\\x1b[31m.png: bad"),
        ("raise OSError(errno.ENOSPC, 'No space left on device', '/x/y')", 1, "/x/y: No space left on device; free"),
        ("raise OSError(errno.EMFILE, 'Too many open files', 'z')", 1, "ulimit -n"),
        ("raise OSError(errno.ESTALE, 'Stale file handle', 'z')", 1, "mount it again"),
        ("open('/nowhere/x')", 1, "error: /nowhere/x: No such file or directory"),
        ("open('/' + 'x' * 300)", 1, "File name too long; use shorter names"),
        ("raise MemoryError", 1, "error: out of memory"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried')", 1, "out of memory"),
        ("raise KeyboardInterrupt", 130, "interrupted; the same command goes on where it stopped"),
        ("raise BrokenPipeError(errno.EPIPE, 'Broken pipe')", 1, "error: Broken pipe"),  # that of a worker
        ("sys.exit('nothing to do')", 1, "nothing to do"),
    ],
)
def test_what_a_user_can_mend_is_one_line(body: str, status: int, says: str) -> None:
    done = ended(body)
    assert done.returncode == status and says in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_an_interrupted_command_ends_though_a_thread_waits_for_ever() -> None:
    wait = "ending._SECONDS_TO_END = 0.2; import threading; threading.Thread(target=threading.Event().wait).start()"
    started = time.monotonic()
    done = ended(f"{wait}; raise KeyboardInterrupt")
    assert done.returncode == 130 and "interrupted" in done.stderr
    assert time.monotonic() - started < 60


def test_an_error_of_a_worker_is_its_last_line() -> None:
    text = "Caught in DataLoader worker process 0.\\nOriginal Traceback (most recent call last):\\n  File 1"
    done = ended(f"raise FoldsegError('{text}\\nfoldseg.errors.FoldsegError: a.png: is damaged\\n  see b')")
    assert (done.returncode, done.stderr) == (1, "error: a.png: is damaged\n  see b\n")


def test_a_defect_is_said_to_be_one_and_its_traceback_is_kept(tmp_path: Path) -> None:
    done = ended("{}['key']", TMPDIR=str(tmp_path))
    assert done.returncode == 70 and len(done.stderr.splitlines()) == 1
    assert "defect of foldseg, not of your input: KeyError: 'key'" in done.stderr
    (report,) = tmp_path.glob("foldseg-defect-*.txt")
    assert done.stderr.endswith("If you changed the code, FOLDSEG_TRACEBACK=1 shows where\n")
    assert str(report) in done.stderr and "Traceback (most recent call last)" in report.read_text()
    assert "Traceback (most recent call last)" in ended("{}['key']", FOLDSEG_TRACEBACK="1").stderr


def test_a_command_that_begins_anew_says_so() -> None:
    assert (
        "the same command begins anew"
        in ended("ending.begin_anew_after_interruption(); raise KeyboardInterrupt").stderr
    )


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_no_terminal_is_too_odd_to_print_on(env: dict[str, str]) -> None:
    done = ended("print('Stra\\u00dfe \\udce9'); logging.getLogger('foldseg').info('Fu\\u00dfg\\u00e4nger')", **env)
    assert done.returncode == 0 and "Stra" in done.stdout and "Fu" in done.stderr
    assert "Logging error" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed: str) -> None:
    body = "from tqdm import tqdm; print(1); logging.getLogger('foldseg').info('2'); list(tqdm([1]))"
    script = MAIN.format(body=body)
    command = ["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, script]
    assert subprocess.run(command, check=False, cwd=REPOSITORY).returncode == 0


@pytest.mark.parametrize(
    "body",
    [
        "print('x' * 200000)",
        "print('x'); print('y' * 10)",
        "import argparse; argparse.ArgumentParser().parse_args(['--help'])",
    ],
)
def test_a_reader_that_has_gone_is_no_error(body: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", MAIN.format(body=body)]
    env = os.environ | {"PYTHONUNBUFFERED": ""}  # argparse passes over errors of printing, if they come at once
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_disk_that_is_full_of_what_is_printed_is_said() -> None:
    script = MAIN.format(body="print('x')", goes_on=True)
    command = ["bash", "-c", '"$0" -c "$1" > /dev/full', sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 1 and done.stderr.startswith("error: No space left on device; free some space")


@pytest.mark.parametrize(
    ("number", "status", "says"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_a_command_with_a_word_and_cleans_up(
    tmp_path: Path, number: signal.Signals, status: int, says: str
) -> None:
    body = f"""from foldseg.files import replacing; from pathlib import Path; import time
    with replacing(Path({str(tmp_path / "x")!r})) as partial:
        partial.write_text('half'); print('ready', flush=True); time.sleep(60)"""
    script = MAIN.format(body=body)
    (tmp_path / "x").write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == status and stderr.startswith(f"{says}; the same command goes on")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"x": "old"}


def test_a_forked_helper_is_ended_by_the_signal_itself() -> None:
    """Libraries fork processes and end them with SIGTERM: these say nothing and clean up nothing."""
    body = """import signal, time
    child = os.fork()
    if child == 0:
        time.sleep(60)
    time.sleep(0.2); os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""
    began = time.monotonic()
    done = ended(body)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGTERM}\n", "") and time.monotonic() - began < 30

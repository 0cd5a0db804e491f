"""Files that are written by a thread: all that was finished, and every error."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.files import write_bytes
from foldseg.inference.background_writer import background_writer


def test_jobs_are_done_in_order_by_another_thread() -> None:
    done: list[tuple[int, str]] = []
    with background_writer() as write:
        for number in range(50):
            write(lambda number=number: done.append((number, threading.current_thread().name)))
    assert done == [(number, "writer") for number in range(50)]


def test_work_goes_on_while_files_are_written() -> None:
    """A job that waits for what comes after it: written in turn, neither would end."""
    went_on = threading.Event()
    with background_writer() as write:
        write(lambda: done.append(went_on.wait(10)))
        done: list[bool] = []
        went_on.set()
    assert done == [True]


def test_few_jobs_wait() -> None:
    """Memory is theirs: handing over a sixth while the first is being done has to wait for it."""
    first, handed = threading.Event(), []

    def hand_over() -> None:
        with background_writer() as write:
            for number in range(8):
                write(partial(first.wait, 10))
                handed.append(number)

    thread = threading.Thread(target=hand_over)
    thread.start()
    time.sleep(0.3)
    assert len(handed) == 5
    first.set()
    thread.join()
    assert len(handed) == 8


def test_an_error_of_a_job_comes_up_with_its_files_name(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file where a folder should be")
    with pytest.raises(FoldsegError, match=r"full/b\.prob: could not be written"), background_writer() as write:
        write(partial(write_bytes, tmp_path / "a.prob", b"a"))
        write(partial(write_bytes, tmp_path / "full/b.prob", b"b"))
    assert (tmp_path / "a.prob").read_bytes() == b"a"


def test_an_error_ends_the_work_soon(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file where a folder should be")
    handed = 0
    with pytest.raises(FoldsegError, match="could not be written"), background_writer() as write:
        for _ in range(1000):
            write(partial(write_bytes, tmp_path / "full/b.prob", b"b"))
            handed += 1
            time.sleep(0.001)
    assert handed < 900


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_finished_is_written_whatever_ends_the_work(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), background_writer() as write:
        for name in "abcd":
            write(partial(write_bytes, tmp_path / name, name.encode()))
        raise error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "d"]

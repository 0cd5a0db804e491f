"""What becomes of freed memory."""

import platform
from pathlib import Path

import pytest

from command.line import CommandLine
from foldseg.training import memory

RESIDENT = """
import sys
from pathlib import Path
from foldseg.training import memory

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

if sys.argv[1] == "keep":
    memory.keep_freed_memory()
before = pages()
large = b"x" * 2**26
used = pages() - before
del large
kept = pages() - before
memory.return_freed_memory()
print(kept / used, (pages() - before) / used)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is glibc's to tune")
def test_freed_memory_is_kept_by_the_process(command_line: CommandLine, tmp_path: Path) -> None:
    """In processes of their own, since nothing takes it back."""
    (tmp_path / "resident.py").write_text(RESIDENT)
    done = [command_line.run(word, program=tmp_path / "resident.py") for word in ("give", "keep")]
    assert [one.status for one in done] == [0, 0], done
    (kept, _), (kept_on_request, returned) = (map(float, one.stdout.split()) for one in done)
    assert kept < 0.1
    assert kept_on_request > 0.9
    assert returned < 0.1


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.keep_freed_memory()
    memory.return_freed_memory()
    monkeypatch.setattr(memory.sys, "platform", "win32")
    memory.keep_freed_memory()
    memory.return_freed_memory()

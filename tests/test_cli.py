"""What scripts share."""

import platform
import subprocess
import sys

import pytest

from foldseg import cli

RESIDENT = """
from pathlib import Path
from foldseg import cli

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

if {keep}:
    cli.keep_freed_memory()
before = pages()
large = b"x" * 2**26
used = pages() - before
del large
print((pages() - before) / used)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is glibc's to tune")
def test_freed_memory_is_kept_by_the_process() -> None:
    """In processes of their own, since nothing takes it back."""
    kept = [
        float(subprocess.check_output([sys.executable, "-c", RESIDENT.format(keep=keep)])) for keep in (False, True)
    ]
    assert kept[0] < 0.1
    assert kept[1] > 0.9


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.ctypes, "CDLL", lambda _: object())
    cli.keep_freed_memory()
    monkeypatch.setattr(cli.sys, "platform", "win32")
    cli.keep_freed_memory()

"""No page lies: its commands run, what it shows as output is printed, and the files that it names are there.

The commands of a page run in order, in a project after `make demo` in which networks and data are tiny.
"""

import re
from pathlib import Path

import pytest

from pages.markdown import PAGES, REPOSITORY, Block, named_paths, read_blocks, shown_results
from pages.project import HAS_CRF
from pages.shell import Shell

LANGUAGES = {"sh", "yaml", "text"}


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_tested_or_says_why_not(page: Path) -> None:
    for block in read_blocks(page):
        reason = block.note.startswith("not run: ") and len(block.note) > 15
        assert block.language in LANGUAGES or block.note == "drawing" or reason, f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_tells_the_truth(page: Path, shell: Shell) -> None:
    output = ""
    for block in read_blocks(page):
        if block.note.startswith("not run: "):
            continue
        where = f"{name_of(page)}:{block.line}"
        if block.language == "sh":
            output = run_block(block, shell, where)
        elif block.language == "text":
            require_lines(block.text, output, where)
    missing = [path for path in [*named_paths(page), *shown_results(page)] if not is_there(path, shell.project)]
    assert missing == [], f"{name_of(page)} names files that are not there"


def run_block(block: Block, shell: Shell, where: str) -> str:
    """Run commands, check how they end, and return what they print."""
    expected = int(block.note.removeprefix("exit status ")) if block.note.startswith("exit status ") else 0
    ran = shell.run(block.text)
    assert ran.status == expected, f"{where}: exit status {ran.status}\n{ran.output}"
    failed = [f"{command}: {status}" for command, status in ran.commands if status not in (0, expected)]
    assert failed == [], f"{where}\n{ran.output}"
    return ran.output


def require_lines(quoted: str, output: str, where: str) -> None:
    """Require that every quoted line is printed. Numbers may differ, since those of a tiny network do."""
    printed = {generalise(line) for line in output.splitlines()}
    for line in quoted.splitlines():
        if HAS_CRF or "crf" not in line:
            assert generalise(line) in printed, f"{where}: {line!r} is not printed\n{output}"


def generalise(line: str) -> str:
    """Replace numbers by 0, and spaces and rules of tables by a single one."""
    return re.sub(r"[ -]+", " ", re.sub(r"\d+(\.\d+)?", "0", line)).strip()


def is_there(path: str, project: Path) -> bool:
    """Whether a file is in the page's project, or in the repository."""
    return (project / path).exists() or (REPOSITORY / path).exists()

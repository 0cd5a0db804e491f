"""No page lies: its commands run, its output is printed, its settings are taken, the files that it names are there.

The commands of a page run in order, in a project after `make demo` in which networks and data are tiny.
"""

import re
from pathlib import Path

import pytest
import typer
import yaml

from foldseg.cli.app import app
from foldseg.config import load_ensemble, load_experiment
from foldseg.config.reference import blocks
from pages.markdown import (
    OTHER_PAGES,
    PAGES,
    REPOSITORY,
    Block,
    named_blocks,
    named_paths,
    named_verbs,
    read_blocks,
    shown_results,
)
from pages.project import DEMO, HAS_CRF, PRINTED
from pages.shell import Shell

LANGUAGES = {"sh", "yaml", "text"}
PART = re.compile(r"a part of an (experiment|ensemble)")
BASES = {"experiment": "toy_crop.yaml", "ensemble": "toy.yaml"}


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_tested_or_says_why_not(page: Path) -> None:
    for block in read_blocks(page):
        where = f"{page}:{block.line}"
        assert block.language in LANGUAGES or block.note == "drawing", where
        assert block.language != "yaml" or PART.fullmatch(block.note), where
        assert not block.note.startswith("not run") or re.fullmatch(r"not run: .{10,}", block.note), where


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "how-to"], ids=name_of)
def test_a_how_to_page_has_its_parts(page: Path) -> None:
    """What you get, commands, what to look at, what can go wrong."""
    parts = ["\nYou ", "```sh\n", "\n## What to look at\n", "\n## What can go wrong\n"]
    places = [page.read_text().find(part) for part in parts]
    assert -1 not in places and places == sorted(places)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_of_a_page_are_taken(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(read_blocks(page)):
        if part := PART.fullmatch(block.note):
            kind = part[1]
            settings = {"base": BASES[kind]} | yaml.safe_load(block.text)
            bases = REPOSITORY / f"configs/{kind}s"
            file = tmp_path / f"part_{number}.yaml"
            file.write_text(yaml.safe_dump(settings | {"base": str(bases / settings["base"])}))
            load_experiment(file) if kind == "experiment" else load_ensemble(file)


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_verbs_and_blocks_of_settings_exist(page: Path) -> None:
    verbs = typer.main.get_command(app).commands
    assert [name for name in named_verbs(page) if name not in verbs] == []
    names = {*blocks(), *(kind.name for block in blocks().values() for kind in block.kinds)}
    assert [name for name in named_blocks(page) if name not in names] == []


@pytest.mark.parametrize("page", OTHER_PAGES, ids=name_of)
def test_files_exist(page: Path, toy_project: Path) -> None:
    assert [path for path in named_paths(page) if not is_there(path, toy_project)] == []


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
    elsewhere = "".join(block.text for block in read_blocks(page) if block.note.startswith("not run: "))
    named = [path for path in [*named_paths(page), *shown_results(page)] if Path(path).name not in elsewhere]
    missing = [path for path in named if not is_there(path, shell.project)]
    assert missing == [], f"{name_of(page)} names files that are not there"


def run_block(block: Block, shell: Shell, where: str) -> str:
    """Run commands, check how they end, and return what they print."""
    if block.text == DEMO:
        return (shell.project / PRINTED).read_text()
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
    """Leave out the time, replace numbers by 0, and spaces and rules of tables by a single space."""
    line = re.sub(r"^\d\d:\d\d:\d\d ", "", line)
    return re.sub(r"[ -]+", " ", re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "0", line)).strip()


def is_there(path: str, project: Path) -> bool:
    """Whether a file is in the page's project, in the repository, or in the package, whose rooms are named alone."""
    return any((folder / path).exists() for folder in (project, REPOSITORY, REPOSITORY / "src/foldseg"))

"""Pages that are written by hand and name parts of the code: files on disk, exit status, ARCHITECTURE.md."""

import re
from pathlib import Path

import pytest

from foldseg import ending
from pages.markdown import REPOSITORY

FILES = REPOSITORY / "docs/reference/files.md"
STATUS = REPOSITORY / "docs/reference/exit-status.md"


def listed(section: str) -> dict[str, re.Pattern[str]]:
    """Return what a section of the page of files lists: as it is written -> what it matches."""
    text = re.search(rf"^## {section}$(.*?)(?=^## |\Z)", FILES.read_text(), re.MULTILINE | re.DOTALL)
    assert text
    names = re.findall(r"^\| `([^`]+)`", text[1], re.MULTILINE)
    return {name: re.compile(re.sub(r"<\w+>", "[^/]+", name.replace(".", r"\."))) for name in names}


def test_all_files_of_the_demo_are_listed(toy_project: Path) -> None:
    folders = ("data", "folds", "runs", "submissions")
    files = [path for name in folders for path in (toy_project / name).rglob("*") if path.is_file()]
    names = [str(path.relative_to(toy_project)) for path in files]
    patterns = listed("After the demo")
    assert [name for name in names if not any(pattern.fullmatch(name) for pattern in patterns.values())] == []
    assert [text for text, pattern in patterns.items() if not any(map(pattern.fullmatch, names))] == []


def test_other_files_are_written_somewhere() -> None:
    """Their names stand in the source."""
    source = "\n".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    for text in listed("With other settings and verbs"):
        name = re.sub(r"<.*|\.ckpt|/$", "", text.rstrip("/").rpartition("/")[2])
        assert name in source, text


def test_every_exit_status_is_explained() -> None:
    assert ending.__doc__
    page, docstring = (re.findall(r"^\| (\d+) \|", text, re.MULTILINE) for text in (STATUS.read_text(), ending.__doc__))
    assert docstring
    assert page == docstring


CODE = re.findall(r"`([\w/]+\.py)(?:: ([\w., ]+))?`", (REPOSITORY / "ARCHITECTURE.md").read_text())


@pytest.mark.parametrize(("file", "names"), sorted(set(CODE)))
def test_the_guide_names_code_that_is_there(file: str, names: str) -> None:
    """`room/module.py: NAME, Class.field` of ARCHITECTURE.md."""
    folders = [REPOSITORY / name for name in ("src/foldseg", ".", "tests/corpus")]
    path = next((folder / file for folder in folders if (folder / file).is_file()), None)
    assert path, f"{file}: no such module"
    words = set(re.findall(r"\w+", path.read_text()))
    assert {part for name in names.split(", ") for part in name.split(".") if part} <= words

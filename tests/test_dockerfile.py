"""The Dockerfile copies what is there, and .dockerignore leaves it in. It is not built here."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied and set(copied) == kept
    assert all((REPOSITORY / name).exists() for name in copied)


def test_all_extras_that_need_no_compiler_are_installed() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = re.findall(r'pip install "\.\[(.*)\]"', (REPOSITORY / "Dockerfile").read_text())
    assert set(installed[0].split(",")) == set(extras) - {"crf"}

"""Names in a submission are somebody else's: they neither steer the terminal nor fill it."""

import json
from pathlib import Path

import pytest

from command.line import CommandLine


@pytest.mark.parametrize(
    ("category", "shown"),
    [("car\n\x1b[31mred", r"car\n\x1b[31mred"), ("\u202egnal", r"\u202egnal"), ("x" * 5000, "x" * 79 + "…")],
)
def test_a_category_is_shown_printable_and_short(
    command_line: CommandLine, signate_root: Path, tmp_path: Path, category: str, shown: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"test_000.jpg": {category: {"0": [[0, 3]]}}, "test_001.jpg": {}}))
    done = command_line.run("score", "configs/data/signate.yaml", path, f"data.root={signate_root}")
    assert done.status == 1 and "Traceback" not in done.stderr
    assert f"test_000.jpg, {shown}: unknown category" in done.stderr
    assert len(done.stderr.splitlines()) == 1

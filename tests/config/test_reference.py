"""Settings that are looked up: every one is described, and what is written of them is fresh."""

import json
from pathlib import Path

import pytest

from command.line import CommandLine
from foldseg.config.json_schema import yaml_schema
from foldseg.config.reference import block, blocks
from foldseg.config.reference_text import page
from foldseg.errors import FoldsegError

REPOSITORY = Path(__file__).parents[2]


def test_every_setting_is_described() -> None:
    names = [
        f"{name}.{setting.name}" for name, one in blocks().items() for setting in one.settings if not setting.meaning
    ]
    assert [name for name in names if not name.endswith((".kind", ".force"))] == []
    assert all(one.meaning for one in blocks().values())


def test_a_block_says_values_defaults_and_where_it_stands() -> None:
    schedule = block("schedule")
    assert schedule.used_in == ("experiment.schedule",)
    step = next(kind for kind in schedule.kinds if kind.name == "step")
    gamma = next(setting for setting in step.settings if setting.name == "gamma")
    assert (gamma.values, gamma.default) == ("number above 0 below 1", "0.1")
    scale = next(setting for setting in block("crf").settings if setting.name == "scale")
    assert scale.default == "1.0"
    with pytest.raises(FoldsegError, match="shedule: no such block of settings; there are experiment, data"):
        block("shedule")


def test_the_page_and_the_schema_are_fresh() -> None:
    """Make them anew: foldseg settings --markdown docs/reference/settings.md --schema configs/schema.json."""
    assert (REPOSITORY / "docs/reference/settings.md").read_text() == page()
    assert json.loads((REPOSITORY / "configs/schema.json").read_text()) == yaml_schema()


def test_the_command_shows_blocks_and_one(command_line: CommandLine) -> None:
    every, one = command_line.run("settings"), command_line.run("settings", "early-stopping")
    assert every.status == 0 and "early_stopping" in every.stdout
    assert one.status == 0 and "patience: whole number from 1  (default: 8)" in one.stdout
    wrong = command_line.run("settings", "nothing")
    assert wrong.status == 1 and "no such block of settings" in wrong.stderr

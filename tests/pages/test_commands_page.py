"""The page of all commands is made from the command itself, and says all of it."""

import pytest
import typer

from command.line import REPOSITORY, CommandLine
from foldseg.cli.app import app
from foldseg.cli.reference import VerbDoc, describe_verbs
from foldseg.cli.reference_text import page

VERBS = describe_verbs(typer.main.get_command(app))


def test_the_page_is_fresh() -> None:
    """Make it anew: foldseg commands --markdown docs/reference/commands.md."""
    assert (REPOSITORY / "docs/reference/commands.md").read_text() == page(VERBS)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_is_explained(verb: VerbDoc) -> None:
    """Its example is run as a part of the page."""
    assert verb.meaning.endswith(".") or verb.meaning.endswith("]")
    assert [word.name for word in (*verb.arguments, *verb.options) if not word.meaning.endswith((".", "..."))] == []
    assert verb.example.startswith(f"foldseg {verb.name}")


def test_all_verbs_are_listed(command_line: CommandLine) -> None:
    done = command_line.run("commands")
    assert done.status == 0
    for verb in VERBS:
        assert f"  {verb.usage}\n      e.g. {verb.example}\n" in done.stdout

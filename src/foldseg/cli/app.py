"""The tree of verbs, and how it is run."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from foldseg import ending
from foldseg.cli import blending, data, exporting, ledger, prediction, scoring, settings, starting, training
from foldseg.cli.arguments import move_overrides_last
from foldseg.cli.project import enter_project

_NAME = "foldseg"
_COMPLETION = "_FOLDSEG_COMPLETE"

app = typer.Typer(
    name=_NAME,
    help="From a folder of images and masks to a leaderboard file whose score you can believe.",
    epilog="`foldseg VERB --help` has an example of each. Settings are changed by key=value, anywhere behind the verb.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (starting, data, training, prediction, blending, scoring, ledger, exporting, settings):
    group.add_verbs(app)


@app.callback()
def _choose_project(
    project: Annotated[
        Path | None,
        typer.Option(help="Folder of the project. Default: the nearest one, from here upwards, that has configs/."),
    ] = None,
) -> None:
    enter_project(project)


def main() -> None:
    """Run the command that `sys.argv` says, and end the process."""
    ending.run(_run)


def _run() -> None:
    if _COMPLETION in os.environ:  # the shell asks what may come next
        app(prog_name=_NAME)
    command = typer.main.get_command(app)
    words = _with_overrides_last(command, sys.argv[1:])
    try:  # not `app()`, which has words of its own for Ctrl+C and for a reader that has gone
        with command.make_context(_NAME, words) as context:
            command.invoke(context)
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
    except typer.TyperException as error:
        _show(error)


def _with_overrides_last(command: Any, words: list[str]) -> list[str]:
    """Return the words of the command line with the overrides of a verb that takes such behind its other words."""
    pairs = zip(["", *words], words, strict=False)  # each word with the one before it
    verbs = [place for place, (before, word) in enumerate(pairs) if word in command.commands and before != "--project"]
    if not verbs:
        return words
    verb = command.commands[words[verbs[0]]]
    if not any(parameter.name in ("overrides", "words") for parameter in verb.params):
        return words
    with_value = {name for option in verb.params if not getattr(option, "is_flag", True) for name in option.opts}
    behind = verbs[0] + 1
    return [*words[:behind], *move_overrides_last(words[behind:], with_value)]


def _show(error: Any) -> NoReturn:
    """Show a mistake in the words of a command, with its usage."""
    error.show()
    raise SystemExit(error.exit_code) from None

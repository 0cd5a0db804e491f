"""The tree of verbs, and how it is run."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from foldseg import ending
from foldseg.cli import (
    blending,
    bundling,
    commands,
    data,
    exporting,
    importing,
    ledger,
    new,
    prediction,
    scoring,
    settings,
    starting,
    training,
)
from foldseg.cli.arguments import Verb, parse_path
from foldseg.cli.project import enter_project

_NAME = "foldseg"
_COMPLETION = "_FOLDSEG_COMPLETE"


class _App(typer.Typer):
    """A tree of verbs."""

    def command(self, *words: Any, **settings: Any) -> Any:
        """Add a verb, as `typer.Typer.command` does."""
        return super().command(*words, **{"cls": Verb, **settings})


app = _App(
    name=_NAME,
    help="From a folder of images and masks to a leaderboard file whose score you can believe.",
    epilog="`foldseg VERB --help` has an example of each. Settings are changed by key=value, anywhere behind the verb.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    starting,
    data,
    importing,
    new,
    training,
    prediction,
    blending,
    bundling,
    scoring,
    ledger,
    exporting,
    settings,
    commands,
):
    group.add_verbs(app)


@app.callback()
def _choose_project(
    project: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FOLDER",
            help="Folder of the project. Default: the nearest one, from here upwards.",
        ),
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
    try:  # not `app()`, which has words of its own for Ctrl+C and for a reader that has gone
        with command.make_context(_NAME, sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
    except typer.TyperException as error:
        _show(error)


def _show(error: Any) -> NoReturn:
    """Show a mistake in the words of a command, with its usage."""
    error.show()
    raise SystemExit(error.exit_code) from None

"""The tree of verbs, and how it is run."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from foldseg import ending
from foldseg.cli import blending, data, exporting, ledger, prediction, scoring, settings, starting, training
from foldseg.cli.project import enter_project

_INTERRUPTED = 130

app = typer.Typer(
    name="foldseg",
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
    try:
        status = app(prog_name="foldseg", standalone_mode=False)
    except typer.TyperException as error:  # wrong words
        _show(error)
    if status == _INTERRUPTED:  # what typer makes of Ctrl+C
        raise KeyboardInterrupt
    raise SystemExit(status)


def _show(error: Any) -> NoReturn:
    error.show()
    raise SystemExit(error.exit_code) from None

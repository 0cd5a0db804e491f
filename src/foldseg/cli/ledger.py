"""Verbs about the ledger: all submissions, their OOF scores and the leaderboard's."""

from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_output, parse_path

ledger = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    epilog="Example: foldseg ledger",
    help="List submissions, and how well OOF scores foretell the leaderboard's order.",
)
_File = Annotated[Path, typer.Option("--ledger", parser=parse_path, metavar="CSV", help="The ledger's file.")]
_LEDGER = Path("submissions/ledger.csv")


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.add_typer(ledger, name="ledger", rich_help_panel=panels.SCORES)


@ledger.callback()
def list_rows(context: typer.Context, file: _File = _LEDGER) -> None:
    """List submissions and how well OOF scores foretell the leaderboard's order."""
    context.obj = file
    if context.invoked_subcommand:
        return
    from foldseg.report.ledger import describe_correlation, format_ledger, select_answered
    from foldseg.submission.ledger import read_ledger

    table = read_ledger(file)
    print(format_ledger(table))
    for score, rows in select_answered(table).groupby("score"):
        print(describe_correlation(rows, str(score)))


@ledger.command("add-score", epilog="Example: foldseg ledger add-score toy 0.652")
def add_score(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the submission. Its latest row gets the score.")],
    score: Annotated[str, typer.Argument(help="What the leaderboard said, e.g. 0.652.")],
    row: Annotated[int | None, typer.Option(help="The row that gets it, as numbered by `foldseg ledger`.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace another score of the row.")] = False,
) -> None:
    """Write what the leaderboard said into the ledger."""
    from foldseg.submission import ledger as file

    number = file.add_score(context.obj, name, score, row, replace)
    print(f"{context.obj}: row {number}, {name}: leaderboard {score}")


@ledger.command(epilog="Example: foldseg ledger plot ledger.png")
def plot(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(parser=parse_output, metavar="PNG", help="The picture to write.")],
) -> None:
    """Draw OOF scores against the leaderboard's."""
    from foldseg.outputs import check_output

    check_output(out, ".png", [context.obj])
    from foldseg.report.figures import save_png
    from foldseg.report.ledger import draw_ledger
    from foldseg.submission.ledger import read_ledger

    save_png(draw_ledger(read_ledger(context.obj)), out, dpi=130)

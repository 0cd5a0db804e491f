#!/usr/bin/env python3
"""Show the ledger of submissions, write down what the leaderboard said, draw OOF scores against it."""

import argparse
from pathlib import Path

from foldseg import cli


def show(args: argparse.Namespace) -> None:
    """Print a line per submission, and how well OOF scores foretell the leaderboard's order."""
    from foldseg.report.ledger import answered, correlation_text, ledger_text  # matplotlib and pandas take seconds
    from foldseg.submission.ledger import read_ledger

    table = read_ledger(args.ledger)
    print(ledger_text(table))
    for score, rows in answered(table).groupby("score"):
        print(correlation_text(rows, str(score)))


def add(args: argparse.Namespace) -> None:
    """Fill in the leaderboard column of a row."""
    from foldseg.submission.ledger import add_score

    row = add_score(args.ledger, args.name, args.score, args.row, args.replace)
    print(f"{args.ledger}: row {row}, {args.name}: leaderboard {args.score}")


def plot(args: argparse.Namespace) -> None:
    """Draw a PNG."""
    from foldseg.outputs import check_output

    check_output(args.out, ".png", [args.ledger])
    from foldseg.report.figures import save_png
    from foldseg.report.ledger import ledger_figure
    from foldseg.submission.ledger import read_ledger

    save_png(ledger_figure(read_ledger(args.ledger)), args.out, dpi=130)


def main() -> None:
    """Parse, do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", type=cli.path, default=Path("submissions/ledger.csv"), help="default: %(default)s")
    parser.set_defaults(do=show)
    commands = parser.add_subparsers(metavar="add-score | plot", help="default: list the rows")
    adding = commands.add_parser("add-score", help="write down what the leaderboard said")
    adding.add_argument("name", help="of the submission; its latest row is filled")
    adding.add_argument("score", help="e.g. 0.652")
    adding.add_argument("--row", type=int, metavar="N", help="this row instead, as numbered in the list")
    adding.add_argument("--replace", action="store_true", help="even if the row has another score")
    adding.set_defaults(do=add)
    plotting = commands.add_parser("plot", help="draw OOF scores against the leaderboard's")
    plotting.add_argument("out", type=cli.path, help="PNG to write")
    plotting.set_defaults(do=plot)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    cli.run(main)

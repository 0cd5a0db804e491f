#!/usr/bin/env python3
"""Compare runs, experiments or submissions on the OOF images that all have: scores, differences, how sure they are.

Each is a folder: runs/<experiment>/fold_<k>, runs/<experiment> or submissions/<ensemble>. The later ones are compared
with the first; intervals and probabilities are from a bootstrap over groups, the same groups for all.
"""

import argparse
from pathlib import Path

from foldseg import cli
from foldseg.files import write_text
from foldseg.scoring.scores import SCORES


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="what the others are compared with")
    parser.add_argument("others", type=Path, nargs="+", metavar="other")
    parser.add_argument("--score", choices=list(SCORES), help="default: what the first was monitored or scored with")
    parser.add_argument("--csv", type=Path, help="write the table here, too, with every digit")
    args = parser.parse_args()
    from foldseg.report.compare import compare, comparison_text  # torch and its kin take seconds

    compared = compare([args.first, *args.others], args.score)
    print(comparison_text(compared))
    if args.csv:
        write_text(args.csv, compared.table.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    cli.run(main)

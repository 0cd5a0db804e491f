#!/usr/bin/env python3
"""Compare runs, experiments or submissions on the OOF images that all have: scores, differences, how sure they are.

Each is a folder: runs/<experiment>/fold_<k>, runs/<experiment> or submissions/<ensemble>. The later ones are compared
with the first; intervals and probabilities are from a bootstrap over groups, the same groups for all.
"""

import argparse
from typing import get_args

from foldseg import cli


def main() -> None:
    """Parse, compare, print."""
    from foldseg.config.schema import ScoreName

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=cli.path, help="what the others are compared with")
    parser.add_argument("others", type=cli.path, nargs="+", metavar="other")
    parser.add_argument("--score", choices=get_args(ScoreName), help="default: what the first was made for")
    parser.add_argument("--csv", type=cli.path, help="write the table here, too, with every digit")
    args = parser.parse_intermixed_args()
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    sources = [args.first, *args.others]
    if args.csv:
        check_output(args.csv, ".csv", sources, ("source", "class", "score"))
    from foldseg.report.compare import compare, comparison_text  # torch and its kin take seconds

    compared = compare(sources, args.score)
    if args.csv:
        write_text(args.csv, compared.table.to_csv(index=False, lineterminator="\n"))
    print(comparison_text(compared))


if __name__ == "__main__":
    cli.run(main)

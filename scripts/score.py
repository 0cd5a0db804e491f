#!/usr/bin/env python3
"""Score stored predictions anew: a run's or experiment's OOF probabilities, or a submission's OOF label maps.

SOURCE is runs/<experiment>/fold_<k>, runs/<experiment> or submissions/<ensemble>. What the files of the source state is
shown beside what was recomputed. A run validated in floating point, its stores are quantised; but a submission's
score.json and its row in the ledger have to agree to 1e-9 (the ledger has six decimals), otherwise the exit code is 1;
so it is if images, masks, weights or classes have changed since the submission was made.
"""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, recompute, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=cli.path)
    parser.add_argument(
        "--from-stores", action="store_true", help="blend and fit an ensemble anew; compare all of its score.json"
    )
    args = parser.parse_intermixed_args()
    from foldseg.report import recompute  # torch and its kin take seconds

    if args.from_stores:
        statements = recompute.remake(args.source)
        print(recompute.statements_text(statements), flush=True)
    else:
        recomputed = recompute.recompute(args.source)
        print(recompute.recomputed_text(recomputed), flush=True)
        statements = recomputed.statements
    recompute.require_fresh(args.source)
    recompute.require_equal(statements)


if __name__ == "__main__":
    cli.run(main)

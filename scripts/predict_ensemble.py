#!/usr/bin/env python3
"""Blend the runs of an ensemble, score the blend on OOF, write and validate its submission, note it in the ledger."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, load, blend, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=cli.path, help="YAML of an ensemble")
    cli.add_overrides(parser, "tta=[flip] folds=[0,1]")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that blend; as workers=N")
    args = parser.parse_intermixed_args()
    from foldseg.config import load_ensemble

    workers = [] if args.workers is None else [f"workers={args.workers}"]
    ensemble = load_ensemble(args.config, [*args.overrides, *workers])
    # Imported here because the blending processes import this file again, and they need no torch
    from foldseg.ensemble.run import predict_ensemble
    from foldseg.report.tables import ensemble_table

    print(ensemble_table(predict_ensemble(ensemble)))


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Train one fold, or all of them, and predict its OOF and test images. Called by train_fold.sh."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, load, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=cli.path, help="YAML of an experiment")
    parser.add_argument("fold", help="number of the fold to validate on, or `all`")
    cli.add_overrides(parser, "batch_size=4 optimizer.lr=3e-4")
    parser.add_argument(
        "--accept-changed-data",
        action="store_true",
        help="keep runs though their images, masks or label set have changed since; provenance.json tells it",
    )
    args = parser.parse_intermixed_args()
    from foldseg.config import load_experiment

    experiment = load_experiment(args.config, args.overrides)
    # Imported here so that a mistake in the configuration is told at once: torch and its kin take seconds
    from foldseg.inference.predict import predict_run
    from foldseg.training.data import fold_numbers
    from foldseg.training.fit import train_fold

    for fold in fold_numbers(experiment, args.fold):
        predict_run(train_fold(experiment, fold, accept_changed_data=args.accept_changed_data))


if __name__ == "__main__":
    cli.run(main)

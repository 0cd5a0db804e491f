#!/usr/bin/env python3
"""Label the test images with what an ensemble is sure of, fold by fold, to train on."""

import argparse

from foldseg import cli


def _class_confidence(text: str) -> tuple[str, float]:
    """NAME=PROBABILITY."""
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no CLASS=PROBABILITY, e.g. car=0.8") from None


def main() -> None:
    """Parse, load, label, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=cli.path, help="YAML of an ensemble; of its steps only a crf is taken")
    parser.add_argument("out", type=cli.path, help="folder for fold_<k>/<id>.png")
    cli.add_overrides(parser, "tta=[flip]")
    parser.add_argument("--confidence", type=cli.share, default=0.9, help="least probability (default: %(default)s)")
    parser.add_argument(
        "--of", type=_class_confidence, action="append", default=[], metavar="CLASS=P", help="another one for a class"
    )
    args = parser.parse_intermixed_args()
    from foldseg.config import load_ensemble

    ensemble = load_ensemble(args.config, args.overrides)
    # Imported here so that a mistake in the configuration is told at once: torch and its kin take seconds
    from foldseg.ensemble.pseudo import write_pseudo_labels
    from foldseg.report.tables import share_table

    print(share_table(write_pseudo_labels(ensemble, args.out, args.confidence, dict(args.of))))


if __name__ == "__main__":
    cli.run(main)

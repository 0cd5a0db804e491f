#!/usr/bin/env python3
"""Draw an ensemble at work on one or two OOF images: frame, truth, every member, blend, result. Writes a PNG."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, load, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=cli.path, help="YAML of an ensemble that scripts/predict_ensemble.py has made")
    parser.add_argument("out", type=cli.path, help="PNG to write")
    cli.add_overrides(parser, "tta=[flip], all that was given to scripts/predict_ensemble.py")
    parser.add_argument("--image", help="id of an OOF image (default: one of median score, one rich in classes)")
    args = parser.parse_intermixed_args()
    from foldseg.config import load_ensemble

    ensemble = load_ensemble(args.config, args.overrides)
    from foldseg.report.summary import summary_picture  # torch and its kin take seconds

    summary_picture(ensemble, args.out, args.image)


if __name__ == "__main__":
    cli.run(main)

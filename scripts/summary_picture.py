#!/usr/bin/env python3
"""Draw an ensemble at work on one or two OOF images: frame, truth, every member, blend, result. Writes a PNG."""

import argparse
from pathlib import Path

from foldseg import cli
from foldseg.config import load_ensemble
from foldseg.report.summary import summary_picture


def main() -> None:
    """Parse, load, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="YAML of an ensemble that scripts/predict_ensemble.py has made")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as given to scripts/predict_ensemble.py")
    parser.add_argument("--image", help="id of an OOF image (default: one of median score, one rich in classes)")
    args = parser.parse_args()
    summary_picture(load_ensemble(args.config, args.overrides), args.out, args.image)


if __name__ == "__main__":
    cli.run(main)

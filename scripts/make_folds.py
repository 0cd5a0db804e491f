#!/usr/bin/env python3
"""Divide a data set into folds that balance strata and never divide a group; write its folds file."""

import argparse
from pathlib import Path

from foldseg import cli
from foldseg.config import load_data
from foldseg.data.datasets import make_folds_file


def main() -> None:
    """Parse, load, divide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="YAML with a data block, e.g. configs/data/camvid.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.fold_count=7")
    args = parser.parse_args()
    make_folds_file(load_data(args.config, args.overrides))


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Divide a data set into folds that balance strata and never divide a group; write its folds file.

Tells of ids, groups and places that several folds have in common, or folds and test images; places are found by
comparing all frames. A file that is there already is checked, not changed.
"""

import argparse
from pathlib import Path

from foldseg import cli
from foldseg.config import load_data
from foldseg.data.datasets import make_folds_file


def main() -> None:
    """Parse, load, divide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML with a data block, e.g. configs/data/camvid.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.fold_count=7")
    parser.add_argument("--strict", action="store_true", help="write nothing, and exit with 1, if something is shared")
    args = parser.parse_intermixed_args()
    make_folds_file(load_data(args.config, args.overrides), args.strict)


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Divide a data set into folds that balance strata and never divide a group; write its folds file.

Tells of ids, groups and places that several folds have in common, or folds and test images; places are found by
comparing all frames. A file that is there already is checked, not changed.
"""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, load, divide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=cli.path, help="YAML with a data block, e.g. configs/data/camvid.yaml")
    cli.add_overrides(parser, "data.fold_count=7")
    parser.add_argument("--strict", action="store_true", help="write nothing, and exit with 1, if something is shared")
    args = parser.parse_intermixed_args()
    from foldseg.config import load_data
    from foldseg.data.datasets import make_folds_file

    make_folds_file(load_data(args.config, args.overrides), args.strict)


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""From a folder of colour PNGs to the AI Edge Contest's JSON, or from a JSON back to a folder of colour PNGs."""

import argparse
from pathlib import Path

from foldseg import cli


def main() -> None:
    """Parse, load, convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=cli.path, help="a folder of RGB PNGs, named by image id, or a .json file")
    parser.add_argument("destination", type=cli.path, help="the .json file or the folder to write")
    cli.add_overrides(parser, "data.root=/where/the/images/are")
    parser.add_argument(
        "--data",
        type=cli.path,
        default=Path("configs/data/signate.yaml"),
        help="whose colours and test images",
    )
    parser.add_argument("--no-check", action="store_true", help="these are not, or not all, of the test images")
    parser.add_argument(
        "--size",
        type=cli.size,
        metavar="WxH",
        help="of the images of a JSON, where these are not at hand, e.g. 1936x1216",
    )
    args = parser.parse_intermixed_args()
    from foldseg.config import load_data
    from foldseg.submission.colour_png import convert

    data = load_data(args.data, args.overrides)
    convert(args.source, args.destination, data, args.size, check=not args.no_check)


if __name__ == "__main__":
    cli.run(main)

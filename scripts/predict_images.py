#!/usr/bin/env python3
"""Predict any pictures with a run, an experiment or an exported file. The same command goes on where it stopped."""

import argparse

from foldseg import cli

FORMS = ("masks", "colours", "overlay", "probabilities")


def main() -> None:
    """Parse, find the pictures, open the source, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_source(parser)
    parser.add_argument(
        "words",
        nargs="+",
        metavar="PICTURE, FOLDER or view.predict=...",
        help="what to predict, and in which view",
    )
    parser.add_argument("--out", type=cli.path, required=True, help="folder to write: a new one, or one to go on with")
    parser.add_argument("--as", dest="form", choices=FORMS, default="masks", help="default: %(default)s")
    parser.add_argument("--alpha", type=cli.share, default=0.5, help="of colours in overlays (default: %(default)s)")
    parser.add_argument("--white-level", type=int, help="value of white in 16-bit pictures, e.g. 4095 for 12 bits")
    args = parser.parse_intermixed_args()
    from foldseg.deploy.images import find_pictures, predict_images
    from foldseg.deploy.sources import asked_for, open_source

    overrides = [word for word in args.words if word.startswith(("view.", "tta."))]
    pictures = find_pictures([cli.path(word) for word in args.words if word not in overrides], args.out)
    source = open_source(args.source, asked_for(overrides, args.tta, args.device, args.checkpoint))
    predict_images(source, pictures, args.out, args.form, args.alpha, args.white_level)


if __name__ == "__main__":
    cli.run(main)

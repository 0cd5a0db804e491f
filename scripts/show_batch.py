#!/usr/bin/env python3
"""Draw what a network is trained on: samples as they come from the loader, with their masks, as a picture."""

import argparse
from pathlib import Path

from foldseg import cli


def main() -> None:
    """Parse, load, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=cli.path, help="YAML of an experiment")
    parser.add_argument("words", nargs="*", default=[], metavar="[fold] [key=value ...]", help="default: fold 0")
    parser.add_argument("--out", type=cli.path, default=Path("batch.png"), help="PNG to write (default: %(default)s)")
    parser.add_argument("--augment", choices=["all"], help="every augmentation set, a row each")
    parser.add_argument("--images", type=cli.count, default=6, help="samples that are drawn (default: %(default)s)")
    parser.add_argument("--epoch", type=int, default=0, help="of which epoch (default: %(default)s)")
    args = parser.parse_intermixed_args()
    has_fold = bool(args.words) and args.words[0].isdecimal()
    fold, overrides = (int(args.words[0]), args.words[1:]) if has_fold else (0, args.words)
    from foldseg.config import load_experiment
    from foldseg.outputs import check_output

    experiment = load_experiment(args.config, overrides)
    sources = [folder for source in experiment.sampling.sources for folder in (source.images, source.masks)]
    check_output(args.out, ".png", [experiment.data.root, *sources])
    # Imported here so that a mistake in the configuration is told at once: torch and its kin take seconds
    from foldseg.report.batch import augmentation_sheet, batch_sheet
    from foldseg.report.figures import save_png
    from foldseg.views.augment import AUGMENTATIONS

    if args.augment:
        figure = augmentation_sheet(experiment, fold, list(AUGMENTATIONS), args.images, args.epoch)
    else:
        figure = batch_sheet(experiment, fold, args.images, args.epoch)
    save_png(figure, args.out)


if __name__ == "__main__":
    cli.run(main)

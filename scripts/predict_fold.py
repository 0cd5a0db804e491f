#!/usr/bin/env python3
"""Write what is missing of a finished run's OOF and test predictions, in its view and of its best weights or others."""

import argparse

from foldseg import cli

SPLITS = ("oof", "test")


def main() -> None:
    """Parse, open the run, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=cli.path, help="folder of a run, e.g. runs/toy_crop/fold_0")
    parser.add_argument("--split", choices=SPLITS, action="append", help="default: both")
    parser.add_argument("--tta", metavar="YAML", help="flip, flips, d4 or e.g. '{symmetries: flip, scales: [0.75]}'")
    parser.add_argument("--checkpoint", default="best", help="best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), help="default: as trained")
    parser.add_argument("--predictions", choices=("probabilities", "logits"), help="default: as the run says")
    cli.add_overrides(parser, "view.predict={kind: full} tta.merge=max")
    args = parser.parse_intermixed_args()
    from foldseg.inference.predict import asked_for, predict_run  # torch and its kin take seconds
    from foldseg.training.run import RunFolder

    run = RunFolder.open(args.run)
    view, tta = asked_for(run, args.tta, args.overrides)
    predict_run(run, args.split or SPLITS, tta, args.device, view, args.checkpoint, args.predictions)


if __name__ == "__main__":
    cli.run(main)

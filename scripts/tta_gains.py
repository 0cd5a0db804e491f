#!/usr/bin/env python3
"""Say what every view of test-time augmentation gains on the OOF images of a run, or of all folds of an experiment.

A view is scored alone, together with the plain one, and by what all views are worth without it. The last line is what
to add to `tta` so that views which do harm, beyond what chance explains, are left out.
"""

import argparse
from typing import get_args

from foldseg import cli


def main() -> None:
    """Parse, open the runs, predict every view, print."""
    from foldseg.config.schema import ScoreName

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=cli.path, help="runs/<experiment>/fold_<k> or runs/<experiment>")
    parser.add_argument("--tta", metavar="YAML", help="d4 (default) or e.g. '{symmetries: flip, scales: [0.75, 1.5]}'")
    parser.add_argument("--score", choices=get_args(ScoreName), help="default: what the runs were chosen by")
    parser.add_argument("--checkpoint", default="best", help="best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), help="default: as trained")
    cli.add_overrides(parser, "view.predict={kind: full} tta.merge=max")
    args = parser.parse_intermixed_args()
    from foldseg.inference.predict import asked_for  # torch and its kin take seconds
    from foldseg.report.tta_gains import gains_text, open_runs, tta_gains

    runs = open_runs(args.run)
    view, tta = asked_for(runs[0], args.tta or "d4", args.overrides)
    print(gains_text(tta_gains(runs, tta, view, args.checkpoint, args.device, args.score)))


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Write a finished run's network as an ONNX file, from which pictures and videos can be predicted without the run."""

import argparse
from pathlib import Path

from foldseg import cli
from foldseg.deploy.check_export import check_export, frames_to_check
from foldseg.deploy.export import export_onnx
from foldseg.deploy.images import find_pictures
from foldseg.inference.predict import overridden_view
from foldseg.training.run import RunFolder


def main() -> None:
    """Parse, open the run, export, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run, e.g. runs/camvid_crop/fold_0")
    parser.add_argument("out", type=Path, help="the .onnx file to write")
    parser.add_argument("overrides", nargs="*", metavar="view.predict=...", help="another view than the run's own")
    parser.add_argument("--checkpoint", default="best", help="best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument(
        "--size", type=cli.size, metavar="WxH", help="of all inputs; default: any size, where that works"
    )
    parser.add_argument("--check", action="store_true", help="compare with the run, on frames of its data set")
    parser.add_argument("--pictures", type=Path, nargs="+", help="compare on these pictures or folders instead")
    args = parser.parse_intermixed_args()
    run = RunFolder.open(args.run)
    export_onnx(run, args.out, overridden_view(run, args.overrides), args.checkpoint, args.size)
    if args.check or args.pictures:
        pictures = [p.path for p in find_pictures(args.pictures, args.out)] if args.pictures else frames_to_check(run)
        print(check_export(run, args.out, pictures, args.checkpoint))


if __name__ == "__main__":
    cli.run(main, goes_on=False)

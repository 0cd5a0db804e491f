#!/usr/bin/env python3
"""Write a finished run's network as an ONNX file, from which pictures and videos can be predicted without the run."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, open the run, export, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=cli.path, help="folder of a run, e.g. runs/camvid_crop/fold_0")
    parser.add_argument("out", type=cli.path, help="the .onnx file to write")
    cli.add_overrides(parser, "view.predict={kind: full}, for another view than the run's own")
    parser.add_argument("--checkpoint", default="best", help="best (default), last, ema, swa, average, snapshot_1, ...")
    parser.add_argument(
        "--size", type=cli.size, metavar="WxH", help="of all inputs; default: any size, where that works"
    )
    parser.add_argument("--check", action="store_true", help="compare with the run, on frames of its data set")
    parser.add_argument("--pictures", nargs="+", help="compare on these pictures or folders instead")
    args = parser.parse_intermixed_args()
    from foldseg.outputs import check_output

    check_output(args.out, ".onnx", [args.run])
    from foldseg.deploy.check_export import check_export, frames_to_check  # torch and its kin take seconds
    from foldseg.deploy.export import export_onnx
    from foldseg.deploy.images import find_pictures
    from foldseg.inference.predict import overridden_view
    from foldseg.training.run import RunFolder

    run = RunFolder.open(args.run)
    of_view = [word for word in args.pictures or () if word.startswith("view.predict")]  # they may stand anywhere
    shown = [cli.path(word) for word in args.pictures or () if word not in of_view]
    pictures = [picture.path for picture in find_pictures(shown, args.out)] if shown else None
    export_onnx(run, args.out, overridden_view(run, [*args.overrides, *of_view]), args.checkpoint, args.size)
    if args.check or pictures:
        pictures = pictures or frames_to_check(run)
        print(check_export(run, args.out, pictures, args.checkpoint))


if __name__ == "__main__":
    cli.run(main, goes_on=False)

#!/usr/bin/env python3
"""Predict a video, or a folder of frames, into a video of overlays with a legend."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, open the source, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_source(parser)
    parser.add_argument("video", type=cli.path, help="a video, or a folder of frames of one size")
    parser.add_argument("out", type=cli.path, help="the .mp4 to write")
    cli.add_overrides(parser, "view.predict={kind: full} tta.merge=max")
    parser.add_argument("--scale", type=cli.positive, help="the network sees frames resized by this factor, e.g. 0.5")
    parser.add_argument("--fps", type=cli.positive, help="of a folder's frames (default: 10)")
    parser.add_argument("--alpha", type=cli.share, default=0.5, help="of the colours (default: %(default)s)")
    parser.add_argument("--side-by-side", action="store_true", help="with the frame as it was on the left")
    args = parser.parse_intermixed_args()
    from foldseg.outputs import check_output

    check_output(args.out, ".mp4", [args.source, args.video])
    from foldseg.deploy.sources import asked_for, open_source
    from foldseg.deploy.video import Look, predict_video

    scale = [] if args.scale is None else [f"view.predict={{kind: resized, factor: {args.scale}}}"]
    asked = asked_for([*args.overrides, *scale], args.tta, args.device, args.checkpoint)
    predict_video(open_source(args.source, asked), args.video, args.out, Look(args.alpha, args.side_by_side), args.fps)


if __name__ == "__main__":
    cli.run(main, goes_on=False)

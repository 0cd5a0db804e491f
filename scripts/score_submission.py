#!/usr/bin/env python3
"""Score a submission: TRUTH is a YAML of a data set (its masks), or a submission that holds the truth."""

import argparse
from pathlib import Path

from foldseg import cli


def main() -> None:
    """Parse, load, score, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truth", type=cli.path, help="configs/data/X.yaml, a .json file or a folder of PNGs")
    parser.add_argument("prediction", type=cli.path, help="a .json file or a folder of PNGs")
    cli.add_overrides(parser, "data.labels=scored, as it was trained")
    parser.add_argument(
        "--data",
        type=cli.path,
        default=Path("configs/data/signate.yaml"),
        help="whose classes these are, if TRUTH is no YAML (default: %(default)s)",
    )
    parser.add_argument("--allow-missing", action="store_true", help="images that are missing score 0")
    parser.add_argument(
        "--size",
        type=cli.size,
        metavar="WxH",
        help="of the images of .json files, where these are not at hand, e.g. 1936x1216",
    )
    parser.add_argument("--per-image", type=cli.path, metavar="CSV", help="write score and IoUs of every image")
    args = parser.parse_intermixed_args()
    from foldseg.config import load_data
    from foldseg.outputs import check_output

    is_config = args.truth.suffix in (".yaml", ".yml")
    data = load_data(args.truth if is_config else args.data, args.overrides)
    truth = None if is_config else args.truth
    if args.per_image:
        check_output(args.per_image, ".csv", [args.prediction, truth, data.root, data.folds], ("id", "score"))
    from foldseg.report.tables import submission_report
    from foldseg.submission.score import count_submission

    counted = count_submission(args.prediction, data, truth, args.allow_missing, args.size)
    if args.per_image:
        counted.write_per_image(args.per_image)
    print(submission_report(counted))


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Write a finished run's encoder weights to a file for model.encoder_weights, e.g. in a kernel without internet."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, open the run, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=cli.path, help="folder of a run, e.g. runs/camvid_crop/fold_0")
    parser.add_argument("out", type=cli.path, help="file to write, e.g. weights/camvid_resnet34.pth")
    args = parser.parse_intermixed_args()
    from foldseg.outputs import check_output

    check_output(args.out, ".pth", [args.run])
    from foldseg.training.run import RunFolder  # torch and its kin take seconds
    from foldseg.training.transfer import export_encoder

    export_encoder(RunFolder.open(args.run), args.out)


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Average checkpoints of a finished run into soup.ckpt, greedily by the score on the fold's OOF images."""

import argparse

from foldseg import cli


def main() -> None:
    """Parse, open the run, average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=cli.path, help="folder of a run, e.g. runs/camvid_crop/fold_0")
    parser.add_argument("--of", nargs="+", default=[], metavar="NAME", help="checkpoints (default: all of the run's)")
    parser.add_argument("--uniform", action="store_true", help="take all of them, whatever they score")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    args = parser.parse_intermixed_args()
    from foldseg.training.run import RunFolder  # torch and its kin take seconds
    from foldseg.training.soup import make_soup

    run = RunFolder.open(args.run)
    taken = make_soup(run, args.of, greedy=not args.uniform, device=args.device)
    print(f"{run.checkpoint('soup')}: the mean of {', '.join(taken)}")


if __name__ == "__main__":
    cli.run(main)

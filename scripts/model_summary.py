#!/usr/bin/env python3
"""Say what the networks of experiments cost on this device: parameters, multiply-adds, memory, output stride, latency.

Published figures stand in brackets. "MB kept" is what an image's forward pass keeps for the backward pass, "MB peak"
the worst moment of a training step of two images, without the optimiser's state; "ms" is one image's prediction.
"""

import argparse
from pathlib import Path

from foldseg import cli

PUBLISHED = Path(__file__).parents[1] / "benchmarks" / "published_networks.csv"


def main() -> None:
    """Parse, load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=cli.path, nargs="+", metavar="config", help="YAML of an experiment")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("HEIGHT", "WIDTH"), help="512 512")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--csv", type=cli.path, help="write the table here, too, with more digits and the sources")
    args = parser.parse_intermixed_args()
    from foldseg.config import load_experiment
    from foldseg.files import write_text
    from foldseg.outputs import check_output

    if args.csv:
        check_output(args.csv, ".csv", [*args.configs, PUBLISHED], ("experiment", "architecture", "encoder"))
    experiments = [load_experiment(path) for path in args.configs]
    from foldseg.report.networks import costs_text, network_costs  # torch and its kin take seconds

    table = network_costs(experiments, tuple(args.size), args.device, PUBLISHED)
    if args.csv:
        write_text(args.csv, table.to_csv(index=False, lineterminator="\n"))
    print(costs_text(table))


if __name__ == "__main__":
    cli.run(main)

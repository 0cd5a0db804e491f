#!/usr/bin/env python3
"""What single changes of a recipe give on CamVid: train each on some folds, compare OOF scores in pairs.

    benchmarks/camvid.py --folds 0 1                 # trains what is missing, one after the other, then the table
    benchmarks/camvid.py --folds 0 1 --only lovasz   # of this change; several processes may train different ones
    benchmarks/camvid.py --folds 0 1 --table         # of what has been trained

The recipe is configs/experiments/camvid_short.yaml; runs are runs/camvid_short_<change>/fold_<k>. Every change costs
about the CPU time of the recipe itself, so what is better is better for the same money.
"""

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

from foldseg import ending

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = REPOSITORY / "configs/experiments/camvid_short.yaml"

CHANGES = {
    "batch4": ["batch_size=4"],
    "lovasz": ["loss.dice=0", "loss.lovasz=0.5"],
    "class_crops": ["sampling.balance={kind: class_crops, classes: inverse_root}"],
    "small_first": [
        "schedule.epochs=14",
        "validate_every=7",
        "stages=[{epochs: 8, train_view: {kind: crop, size: [160, 160], scale: [0.4, 1.0]}}, {epochs: 6, lr: 0.001}]",
    ],
    "encoder_rate": ["optimizer.encoder_lr_scale=1.0"],
    "bf16": ["precision=bf16"],
    "strong": ["augment=strong"],
    "no_weights": ["loss.class_weights=none"],
}
NETWORKS = ("fpn", "lite0")  # changes that are experiments of their own: configs/experiments/camvid_short_<change>.yaml
NAMES = ("recipe", *CHANGES, *NETWORKS)


def main() -> None:
    """Parse, train, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--table", action="store_true", help="train nothing")
    args = parser.parse_args()
    if not args.table:
        for name in args.only:
            for fold in args.folds:
                train(name, fold)
    print(table(args.only, args.folds))


def folder(name: str) -> Path:
    """Return the experiment's folder of runs."""
    return Path("runs") / ("camvid_short" if name == "recipe" else f"camvid_short_{name}")


def train(name: str, fold: int) -> None:
    """Train one fold, or go on with it; a finished one takes seconds."""
    config = RECIPE.with_stem(folder(name).name) if name in NETWORKS else RECIPE
    changes = [f"name={folder(name).name}", *CHANGES[name]] if name in CHANGES else []
    subprocess.run([REPOSITORY / "foldseg train", config, str(fold), *changes], check=True)


def table(names: Sequence[str], folds: Sequence[int]) -> str:
    """Return Markdown: what each change gave, over the same OOF images, with its paired interval over groups."""
    from foldseg.report.compare import OVERALL, compare_sources  # torch and its kin take seconds

    lines = ["| change | images | the recipe | with it | gain | 95% | P(better) |", "|" + " --- |" * 7]
    for name in names:
        of_folds = [folder(name) / f"fold_{fold}" for fold in folds]
        if name == "recipe" or not all((run / "summary.json").is_file() for run in of_folds):
            continue
        compared = compare_sources([folder("recipe"), folder(name)])
        base, one = (row for _, row in compared.table.query(f"`class` == '{OVERALL}'").iterrows())
        gain = f"{one['difference']:+.4f} | {one['difference_low']:+.4f} to {one['difference_high']:+.4f}"
        scores = f"{base['score']:.4f} | {one['score']:.4f}"
        lines.append(f"| {name} | {compared.images} | {scores} | {gain} | {one['probability']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    ending.run(main)

#!/usr/bin/env python3
"""What every way to blend and every step after it gives on CamVid: on OOF, nested, where it was fitted, and on test.

    benchmarks/ensemble.py                      # all of it; what is there already is not made again
    benchmarks/ensemble.py --only mean bias     # "mean" is what the others are compared with

Ways are those of configs/ensembles/camvid_short.yaml with other settings, in submissions/camvid_ways. Single steps are
forced, so that a loss is shown; "all" leaves out what does harm. Gains on OOF are
paired, with 95% intervals over groups; every OOF image is scored with what was fitted without its fold. The test masks
are only counted.
"""

import argparse
from pathlib import Path
from typing import Any

from foldseg import ending
from foldseg.config import load_ensemble
from foldseg.ensemble.run import predict_ensemble
from foldseg.files import read_json
from foldseg.report.compare import OVERALL, compare_sources

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = REPOSITORY / "configs/ensembles/camvid_short.yaml"
FOLDER = Path("submissions/camvid_ways")
SCORED = ["score=dataset_miou_scored", "submission=signate_json"]  # of all classes here; categories may overlap
CRF = "smooth_weight: 1.0, appearance_weight: 2.0, appearance_std: 20.0"


def _forced(step: str, settings: str = "") -> str:
    return f"steps=[{{kind: {step}, {settings}{', ' if settings else ''}force: true}}]"


WAYS = {
    "mean": ["steps=[]"],
    "mean, no TTA": ["steps=[]", "tta=[]"],
    "geometric mean": ["steps=[]", "blend=geometric_mean"],
    "rank mean": ["steps=[]", "blend=rank_mean"],
    "vote": ["steps=[]", "blend=vote"],
    "union of pole, sign": ["steps=[]", "blend.union=[pole, sign_symbol]"],
    "weights, hill climbing": [_forced("weights", "search: hill_climbing")],
    "weights, continuous": [_forced("weights", "search: continuous")],
    "weights per class": [_forced("weights", "search: hill_climbing, per_class: true")],
    "stack": [_forced("stack")],
    "bias": [_forced("bias")],
    "thresholds": [_forced("thresholds"), *SCORED],
    "CRF, paper's": [_forced("crf")],
    "CRF, given": [_forced("crf", CRF)],
    "CRF, given, half size": [_forced("crf", f"{CRF}, scale: 0.5")],
    "CRF, fitted": [
        _forced("crf", "smooth_weight: [1.0, 3.0], appearance_weight: [2.0, 4.0], appearance_std: [20.0, 40.0]")
    ],
    "clean-up, 16 pixels": [_forced("clean_up", "min_area: 16")],
    "clean-up, fitted": [_forced("clean_up", "min_area: [8, 16, 32], hole_area: [8, 16]")],
    "all, as configured": [],
}


def main() -> None:
    """Parse, blend, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for all of them")
    args = parser.parse_args()
    chosen = list(dict.fromkeys(["mean", *args.only]))
    made = {way: blended(way, args.overrides) for way in chosen}
    print(members(read_json(made["mean"] / "score.json")))
    print("| way | OOF | gain | 95% | P(better) | where fitted | test | gain |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for way in chosen:
        print(row(way, made["mean"], made[way]))


def blended(way: str, overrides: list[str]) -> Path:
    """Blend unless that has been done; return the folder."""
    name = "".join(c if c.isalnum() else "_" for c in way)
    folder = FOLDER / name
    if not (folder / "score.json").is_file():
        settings = [f"name={name}", f"submissions={FOLDER}", *WAYS[way], *overrides]
        predict_ensemble(load_ensemble(CONFIG, settings))
    return folder


def final(scores: dict[str, Any], split: str) -> float:
    """Return the chosen score after the last step."""
    return float(list(scores[split].values())[-1][scores["score"]])


def row(way: str, mean: Path, folder: Path) -> str:
    """Return a line of the table."""
    base, scores = read_json(mean / "score.json"), read_json(folder / "score.json")
    test = final(scores, "test")
    cells = [way, f"{final(scores, 'oof'):.4f}", "", "", "", "", f"{test:.4f}", ""]
    if folder != mean:
        overlapping = scores["score"] != base["score"]  # label maps of overlapping categories cannot be compared
        cells[2] = f"{final(scores, 'oof') - final(base, 'oof'):+.4f}"
        cells[7] = f"{test - final(base, 'test'):+.4f}"
        if overlapping:
            step = list(scores["steps"].values())[-1]
            gain = {"low": step["interval"][0], "high": step["interval"][1], "p": step["probability"]}
        else:
            table = compare_sources([mean, folder]).table.query(f"`class` == '{OVERALL}'").iloc[-1]
            gain = {"low": table["difference_low"], "high": table["difference_high"], "p": table["probability"]}
        cells[3], cells[4] = f"{gain['low']:+.4f} to {gain['high']:+.4f}", f"{gain['p']:.2f}"
    fitted = [step["same_oof"] for step in scores["steps"].values() if "same_oof" in step]
    if fitted:
        cells[5] = f"{fitted[-1]:.4f}"
    return f"| {' | '.join(cells)} |"


def members(scores: dict[str, Any]) -> str:
    """Return the members' table: alone, what the blend loses without each, how often pairs agree."""
    worth = scores["members"]
    names = list(worth["removing"])
    lines = [
        "| member | OOF | test | loss without it | 95% | agrees with the others |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        one, score = worth["removing"][name], scores["score"]
        others = ", ".join(f"{worth['agreement'][name][other]:.3f}" for other in names if other != name)
        lines.append(
            f"| {name} | {scores['oof'][name][score]:.4f} | {scores['test'][name][score]:.4f} | {one['loss']:+.4f} | "
            f"{one['interval'][0]:+.4f} to {one['interval'][1]:+.4f} | {others} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    ending.run(main)

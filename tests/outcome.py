"""What a run left on disk, to be compared with what another one left, to the last bit."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import torch

_CLOCKS = ("seconds",)


def outcome(run: Path) -> dict[str, Any]:
    """Return file -> content of a run's folder: every checkpoint, the log, the summary, every prediction."""
    checkpoints = sorted((run / "checkpoints").glob("*.ckpt"))
    found: dict[str, Any] = {path.name: torch.load(path, weights_only=True) for path in checkpoints}
    with (run / "metrics.csv").open(newline="") as stream:
        found["metrics.csv"] = list(csv.DictReader(stream))
    found["summary.json"] = json.loads((run / "summary.json").read_text())
    stored = sorted((run / "predictions").glob("*/*.prob"))
    found |= {str(path.relative_to(run)): path.read_bytes() for path in stored}
    return found | {"leftovers": sorted(path.name for path in run.rglob("*.partial"))}


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Name whatever is not equal to the last bit, through dictionaries and lists; clocks are left out."""
    if type(ours) is not type(theirs):
        return [where]
    if isinstance(ours, dict):
        return [
            name
            for key in sorted({*ours, *theirs} - {*_CLOCKS}, key=str)
            for name in differences(ours.get(key), theirs.get(key), f"{where}/{key}" if where else str(key))
        ]
    if isinstance(ours, list | tuple) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [name for number, pair in pairs for name in differences(*pair, f"{where}[{number}]")]
    if isinstance(ours, torch.Tensor):
        return [] if ours.dtype == theirs.dtype and _same_bits(ours, theirs) else [where]
    both_nan = isinstance(ours, float) and math.isnan(ours) and math.isnan(theirs)
    return [] if ours == theirs or both_nan else [where]


def _same_bits(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return ours.shape == theirs.shape and ours.numpy().tobytes() == theirs.numpy().tobytes()

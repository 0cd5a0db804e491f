"""Every stage of a contest at its real size, as commands that a user types: time, CPU time and peak memory of each.

    python benchmarks/contest_scale.py [stage ...]

Builds the toy city at 1936x1216 (300 training and 60 test frames), trains one epoch of a small network on crops of a
part of fold 0, predicts, fits thresholds, writes, validates and scores. Prints a markdown table. Wants 3 GB of disk.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA, RUN = ROOT / "data/toy_contest", ROOT / "runs/toy_contest/fold_0"
SUBMISSION = "submissions/toy_contest/submission.json"
CONFIG = "configs/data/toy_contest.yaml"
PYTHON = sys.executable


@dataclass(frozen=True)
class Stage:
    """A command, what must be gone before it, and how many images it works on."""

    name: str
    command: list[str]
    removes: tuple[Path, ...] = ()
    images: int = 360
    environment: tuple[tuple[str, str], ...] = ()


STAGES = {
    "build": Stage("build the city, scan, make folds", [PYTHON, "foldseg folds", CONFIG], (DATA,)),
    "folds": Stage("scan, make folds", [PYTHON, "foldseg folds", CONFIG]),
    "eda": Stage(
        "EDA notebook",
        [PYTHON, "-m", "jupyter", "execute", "notebooks/01_eda.ipynb"],
        environment=(("FOLDSEG_DATA_CONFIG", CONFIG), ("FOLDSEG_ROOT", str(ROOT))),
    ),
    "train": Stage(
        "train on 192 crops of 512, validate and predict fold 0, predict test",
        ["foldseg train", "configs/experiments/toy_contest.yaml", "0"],
        (RUN,),
        images=192 + 41 + 41 + 60,
    ),
    "predict": Stage(
        "... of which predicting test",
        [PYTHON, "foldseg predict", "runs/toy_contest/fold_0", "--split", "test"],
        (RUN / "predictions/test",),
        images=60,
    ),
    "ensemble": Stage(
        "blend, fit thresholds, score OOF; write and validate the submission",
        [PYTHON, "foldseg ensemble", "configs/ensembles/toy_contest.yaml"],
        images=41 + 60,
    ),
    "tiles": Stage(
        "predict OOF and test in overlapping tiles of 768, flipped, too; CRF, thresholds, clean-up, submission",
        [PYTHON, "foldseg ensemble", "configs/ensembles/toy_contest_tiles.yaml"],
        (RUN / "predictions/oof-tiles_768x768_0.25_mean_gaussian-flip",
         RUN / "predictions/test-tiles_768x768_0.25_mean_gaussian-flip"),
        images=41 + 60,
    ),
    "score": Stage(
        "score the submission (against itself)",
        [PYTHON, "foldseg score", SUBMISSION, SUBMISSION, "--data", CONFIG],
        images=60,
    ),
    "pngs": Stage(
        "submission to colour PNGs", [PYTHON, "foldseg convert", SUBMISSION, "runs/toy_contest/png"],
        (ROOT / "runs/toy_contest/png",), images=60,
    ),
    "json": Stage(
        "colour PNGs to a submission",
        [PYTHON, "foldseg convert", "runs/toy_contest/png", "runs/toy_contest/again.json"],
        images=60,
    ),
}  # fmt: skip


class MemoryWatch:
    """Peak memory of a process and all that it starts, in bytes: proportional set size, so shared pages count once."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, sum(map(_memory, _with_children(self._pid))))

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.peak


def _with_children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(below for child in children for below in _with_children(child))]


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def measured(stage: Stage) -> str:
    """Run one stage; return its row of the table."""
    for path in stage.removes:
        shutil.rmtree(path, ignore_errors=True)
    before, start = os.times(), time.monotonic()
    environment = {**os.environ, **dict(stage.environment)}
    with subprocess.Popen(stage.command, cwd=ROOT, env=environment) as process:
        watch = MemoryWatch(process.pid)
        code = process.wait()
    peak, wall, after = watch.end(), time.monotonic() - start, os.times()
    if code:
        sys.exit(f"{' '.join(stage.command)}: ended with {code}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return (
        f"| {stage.name} | {stage.images} | {wall:.0f} s | {cpu:.0f} s | "
        f"{1000 * cpu / stage.images:.0f} ms | {peak / 2**30:.2f} GiB |"
    )


def main() -> None:
    chosen = sys.argv[1:] or list(STAGES)
    rows = [measured(STAGES[name]) for name in chosen]
    print("| stage | images | wall | CPU | CPU an image | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Does a run that is killed and resumed end as one that was left alone, to the last bit?

    benchmarks/kill.py                                    # 5 rounds of every setup
    benchmarks/kill.py --rounds 50 --only plain stages    # of these
    benchmarks/kill.py --list

A round gives the command foldseg train for a tiny city, kills its whole process group by SIGKILL at a moment
drawn uniformly over the time that an unkilled run takes, and gives the command again, until it has been killed one to
`--kills` times and has come to its end. Every time it has a number of loader workers drawn from `--workers`. All
checkpoints, metrics.csv, summary.json (but their seconds) and predictions are then compared with those of a run that
was left alone and had no workers. The table is in kill.md.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tests"))

from kill_setups import CITY, PHASES, SETUPS, TEACHER  # noqa: E402

from command.line import CommandLine, Finished, Started  # noqa: E402
from outcome import differences, outcome  # noqa: E402

COMMAND = REPOSITORY / "benchmarks/kill_watched.py"


def main() -> None:
    """Parse, make the reference runs, kill, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of every setup")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--kills", type=int, default=3, help="most of one round")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=SETUPS, default=list(SETUPS), metavar="SETUP")
    parser.add_argument("--folder", type=Path, help="for the runs; kept (default: a temporary one)")
    parser.add_argument("--list", action="store_true", help="show the setups")
    args = parser.parse_args()
    if args.list:
        print("\n".join(f"{name}: {' '.join(overrides)}" for name, overrides in SETUPS.items()))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench.prepare(args.folder or Path(temporary), args.workers)
        try:
            for name in args.only:
                rows.append(Row(name))
                bench.fill(rows[-1], args.rounds, args.kills, random.Random(f"{args.seed} {name}"))
        finally:  # what was found until something went wrong
            outcomes = [found for row in rows for found in row.outcomes]
            total = Row("all of them", outcomes, sum((row.kills for row in rows), Counter()))
            print("\n".join([HEADER, *map(str, [*rows, total])]))
    sys.exit(0 if all(not found for found in outcomes) else 1)


HEADER = f"| setup | rounds | bitwise equal | kills | {' | '.join(PHASES)} |\n|{' --- |' * (4 + len(PHASES))}"


@dataclass(frozen=True)
class Row:
    """A line of the table. `outcomes`: of each round what differed; `kills`: phase -> number."""

    name: str
    outcomes: list[list[str]] = field(default_factory=list)
    kills: Counter[int] = field(default_factory=Counter)

    def __str__(self) -> str:
        equal = sum(not found for found in self.outcomes)
        cells = [self.name, len(self.outcomes), equal, self.kills.total(), *(self.kills[i] for i in range(len(PHASES)))]
        return f"| {' | '.join(map(str, cells))} |"


@dataclass
class Bench:
    """A tiny city, a teacher's run, and the command line."""

    folder: Path
    line: CommandLine
    workers: Sequence[int]

    @staticmethod
    def prepare(folder: Path, workers: Sequence[int]) -> "Bench":
        """Build the city, divide it, and train what others learn from."""
        bench = Bench(folder.resolve(), CommandLine(folder.resolve() / "commands" / str(time.time_ns())), workers)
        if not (bench.folder / "folds.csv").is_file():
            expect(bench.line.run("folds", "configs/data/toy_city.yaml", *bench.data))
        shutil.rmtree(bench.folder / "teachers", ignore_errors=True)
        expect(bench.start(bench.folder / "teachers", [*TEACHER, "name=teacher"], 0).wait(1800))
        return bench

    @property
    def data(self) -> list[str]:
        return [f"data.root={self.folder / 'city'}", f"data.folds={self.folder / 'folds.csv'}", *CITY]

    def start(self, runs: Path, overrides: Sequence[str], workers: int) -> Started:
        """Start the command."""
        words = [word.replace("TEACHER", str(self.folder / "teachers/teacher")) for word in overrides]
        words = [word.replace("RUNS", str(runs)) for word in words]
        if runs.name != "teachers" and not (runs / "teacher").exists():
            runs.mkdir(parents=True, exist_ok=True)
            (runs / "teacher").symlink_to(self.folder / "teachers/teacher")
        words = [*self.data, *words, f"runs={runs}", f"workers={workers}"]
        config = "configs/experiments/toy_crop.yaml"
        self.phase_file.parent.mkdir(parents=True, exist_ok=True)
        self.phase_file.write_bytes(bytes(1))
        return self.line.start("train", config, "0", *words, program=COMMAND, env={"PHASE_FILE": str(self.phase_file)})

    @property
    def phase_file(self) -> Path:
        return self.line.folder / "phase"

    def fill(self, row: Row, rounds: int, most: int, rng: random.Random) -> None:
        """Make a setup's reference, compare it with an unkilled run that has workers, and do the rounds."""
        name = row.name
        whole, clock = self.folder / "whole" / name.replace(" ", "_"), time.monotonic()
        shutil.rmtree(whole, ignore_errors=True)
        expect(self.start(whole, SETUPS[name], 0).wait(1800))
        seconds = time.monotonic() - clock
        for number in range(-1, rounds):
            runs = self.folder / "killed" / f"{name.replace(' ', '_')}_{number + 1}"
            kills = self.round(runs, name, 0 if number < 0 else rng.randint(1, most), seconds, rng)
            found = differences(outcome(whole / "toy_crop/fold_0"), outcome(runs / "toy_crop/fold_0"))
            shown = [PHASES[phase] for phase in kills] or ["never"]
            log(f"{name}, round {number + 1}: killed {', '.join(shown)}: {found[:3] or 'equal'}")
            if number < 0:
                if found:
                    raise SystemExit(f"{name}: unkilled, {max(self.workers)} workers change {found[:3]}")
                continue
            row.outcomes.append(found)
            row.kills.update(kills)
            if not found:
                shutil.rmtree(runs)
        log(f"{row}")

    def round(self, runs: Path, name: str, wanted: int, seconds: float, rng: random.Random) -> list[int]:
        """Train to the end, killed up to `wanted` times, and at least once if it is above 0; return the phases."""
        while True:
            shutil.rmtree(runs, ignore_errors=True)
            kills: list[int] = []
            while len(kills) < wanted:
                phase = self.killed(self.start(runs, SETUPS[name], rng.choice(self.workers)), rng.uniform(0, seconds))
                if phase is None:
                    break
                kills.append(phase)
            if kills or not wanted:
                workers = rng.choice(self.workers) if wanted else max(self.workers)
                expect(self.start(runs, SETUPS[name], workers).wait(1800))
                return kills

    def killed(self, started: Started, seconds: float) -> int | None:
        """Kill a command after some time; return its phase, or None if it had ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and started.is_running():
            time.sleep(0.002)
        while started.is_running():
            try:
                started.kill()
            except ProcessLookupError:  # it does not lead its group yet, or has just ended
                continue
            break
        done = started.wait(1800)
        if done.status >= 0:
            expect(done)
            return None
        return self.phase_file.read_bytes()[0]


def expect(done: Finished) -> None:
    """End the benchmark when a command did not end well."""
    if done.status != 0:
        raise SystemExit(f"the command ended with {done.status}:\n{done.said}")


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

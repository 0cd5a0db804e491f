"""Which place, hour and frame number each picture of a split has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Share of the runs for each (route, time of day). Unbalanced on purpose: Tokyo2 is rare, night is the
# rarest hour, as in the contest.
_SHARES: dict[tuple[str, str], float] = {
    ("Tokyo1", "day"): 0.22,
    ("Saitama", "day"): 0.16,
    ("Tokyo1", "morning"): 0.16,
    ("Tokyo1", "night"): 0.14,
    ("Saitama", "morning"): 0.12,
    ("Saitama", "night"): 0.08,
    ("Tokyo2", "day"): 0.06,
    ("Tokyo2", "morning"): 0.04,
    ("Tokyo2", "night"): 0.02,
}
# The first so many of the table get a run before any gets its second one, so that a data set of
# 40 frames (8 runs) has all the hours of both main routes and some of Tokyo2.
_GUARANTEED = 7
_RUN_LENGTH = 5
_SHORTEST, _LONGEST = 4, 6


@dataclass(frozen=True)
class FramePlan:
    """One picture: its number in the split, its run, its step in the run (0 first), and its tags."""

    number: int
    run: int
    step: int
    route: str
    timeofday: str
    frame_index: int


def plan_split(seed: int, split: int, frames: int) -> list[FramePlan]:
    """Cut a split of `frames` pictures into runs of neighbouring frames; one plan per picture, in order.

    Frame indices grow within a route, by 1 within a run and by at least 50 from run to run.
    """
    if frames <= 0:
        return []
    rng = np.random.default_rng([seed, split, 0])
    lengths = _run_lengths(rng, frames)
    combos = _combos(len(lengths))
    order = rng.permutation(len(lengths))
    next_index = {route: int(rng.integers(50, 400)) for route in ("Tokyo1", "Tokyo2", "Saitama")}
    plans: list[FramePlan] = []
    for run, length in enumerate(lengths):
        route, timeofday = combos[int(order[run])]
        first = next_index[route]
        for step in range(int(length)):
            plans.append(FramePlan(len(plans), run, step, route, timeofday, first + step))
        next_index[route] = first + int(length) + int(rng.integers(50, 400))
    return plans


def _run_lengths(rng: np.random.Generator, frames: int) -> NDArray[np.int64]:
    """Return run lengths of about 4 to 6 that sum to `frames`: (runs,)."""
    runs = max(1, round(frames / _RUN_LENGTH))
    lengths = np.full(runs, frames // runs, dtype=np.int64)
    lengths[: frames % runs] += 1
    for _ in range(runs):
        giver, taker = rng.integers(0, runs, size=2)
        if giver != taker and lengths[giver] > _SHORTEST and lengths[taker] < _LONGEST:
            lengths[giver] -= 1
            lengths[taker] += 1
    return lengths


def _combos(runs: int) -> list[tuple[str, str]]:
    """Return a (route, time of day) per run: the guaranteed ones, then whichever lags its share most."""
    names = list(_SHARES)
    shares = np.array(list(_SHARES.values()))
    counts = np.zeros(len(names))
    chosen: list[tuple[str, str]] = []
    for number in range(runs):
        pick = number if number < _GUARANTEED else int(np.argmax(shares * (number + 1) - counts))
        counts[pick] += 1
        chosen.append(names[pick])
    return chosen

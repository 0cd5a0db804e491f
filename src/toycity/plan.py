"""Which drive, place, hour and frame index each picture of a split has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
"""(route, time of day) -> share of the drives. It is unbalanced as in the contest: Tokyo2 and night are rare."""
_GUARANTEED = 7
"""So many entries of `_SHARES`, from the first, get a drive before any gets its second one.

So a data set of 40 frames (8 drives) has all hours of both main routes, and some of Tokyo2.
"""
_DRIVE_LENGTH = 5
"""Mean number of frames of a drive."""
_SHORTEST, _LONGEST = 4, 6


@dataclass(frozen=True)
class FramePlan:
    """What a picture shows: its number in the split, its drive, its step in the drive (from 0), and its tags."""

    number: int
    drive: int
    step: int
    route: str
    timeofday: str
    frame_index: int


def plan_split(seed: int, split: int, frames: int) -> list[FramePlan]:
    """Return a plan for each of the `frames` pictures of a split, in order. Neighbouring frames form drives.

    Frame indices grow within a route, by 1 within a drive and by at least 50 from drive to drive.
    """
    if frames <= 0:
        return []
    rng = np.random.default_rng([seed, split, 0])
    lengths = _drive_lengths(rng, frames)
    combos = _combos(len(lengths))
    order = rng.permutation(len(lengths))
    next_index = {route: int(rng.integers(50, 400)) for route in ("Tokyo1", "Tokyo2", "Saitama")}
    plans: list[FramePlan] = []
    for drive, length in enumerate(lengths):
        route, timeofday = combos[int(order[drive])]
        first = next_index[route]
        for step in range(int(length)):
            plans.append(FramePlan(len(plans), drive, step, route, timeofday, first + step))
        next_index[route] = first + int(length) + int(rng.integers(50, 400))
    return plans


def _drive_lengths(rng: np.random.Generator, frames: int) -> NDArray[np.int64]:
    """Return the number of frames of each drive: (drives,), about 4 to 6 each. Their sum is `frames`."""
    drives = max(1, round(frames / _DRIVE_LENGTH))
    lengths = np.full(drives, frames // drives, dtype=np.int64)
    lengths[: frames % drives] += 1
    for _ in range(drives):
        shorter, longer = rng.integers(0, drives, size=2)
        if shorter != longer and lengths[shorter] > _SHORTEST and lengths[longer] < _LONGEST:
            lengths[shorter] -= 1
            lengths[longer] += 1
    return lengths


def _combos(drives: int) -> list[tuple[str, str]]:
    """Return the (route, time of day) of each drive: the guaranteed ones, then the one that lacks most of its share."""
    names = list(_SHARES)
    shares = np.array(list(_SHARES.values()))
    counts = np.zeros(len(names))
    combos: list[tuple[str, str]] = []
    for number in range(drives):
        index = number if number < _GUARANTEED else int(np.argmax(shares * (number + 1) - counts))
        counts[index] += 1
        combos.append(names[index])
    return combos

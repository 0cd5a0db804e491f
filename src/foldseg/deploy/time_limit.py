"""Watches how long the prediction of many images takes, and leaves out parts of an ensemble if it would be too long."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foldseg.deploy.reductions import Reduction
from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

_RESERVE = 0.05
"""Share of the limit that is kept for writing, and for being wrong."""
_WINDOW = 20
"""Speed is that of so many images at most, the latest ones."""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def parse_duration(text: str) -> float:
    """Return the seconds of `9h`, `1h30m`, `45m`, `90s` or `90`. ValueError if it is none of these, or 0."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    parts = match.groups() if match else ()
    seconds = sum(float(part) * factor for part, factor in zip(parts, _UNITS.values(), strict=False) if part)
    if not seconds:
        raise ValueError(f"{text!r} is no time such as 9h, 1h30m or 90s")
    return seconds


def format_duration(seconds: float) -> str:
    """Return `8h 59m`, `12m 5s` or `7.5s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


@dataclass(frozen=True)
class Measured:
    """What one image took."""

    pixels: int
    rest: float
    """Seconds of all that is not done by networks, from the end of the image before."""
    unit_seconds: NDArray[np.float64]
    """(members,): a member's seconds, divided by its cost; NaN for members that are left out."""


class Watch:
    """Chooses what remains of an ensemble for each image, so that all images are predicted within a limit.

    It never goes back to more. Images are weighed by their pixels. Nothing is decided before two images are predicted,
    and the first one is not counted, since a device takes longer at first.
    """

    def __init__(
        self,
        reductions: Sequence[Reduction],
        pixels: Sequence[int],
        limit: float | None,
        started: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch a prediction with `reductions`, each of which is faster than the one before.

        `limit`: seconds from `started` on, a time of `clock` (default: now). `pixels`: of each image, in order.
        """
        self.reductions, self._pixels, self._limit, self._clock = reductions, pixels, limit, clock
        self._started = clock() if started is None else started
        self._last = clock()
        self._measured: list[Measured] = []
        self.images = [0] * len(reductions)
        """How many images were predicted with each reduction."""
        self.level = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def choose(self) -> Reduction:
        """Return what predicts the next image. FoldsegError if the limit cannot be kept with the least of all."""
        if self._limit is not None and len(self._measured) > 1:
            self._reduce(self._limit)
        return self.reductions[self.level]

    def add(self, member_seconds: NDArray[np.float64]) -> None:
        """Take in that an image has been predicted; `member_seconds`: (members,)."""
        now, pixels = self._clock(), self._pixels[len(self._measured)]
        members = self.reductions[self.level].members
        costs = np.array([np.nan if member is None else member.cost for member in members])
        rest = max(now - self._last - float(member_seconds.sum()), 0.0)
        self._measured.append(Measured(pixels, rest, member_seconds / costs))
        self.images[self.level] += 1
        self._last = now

    def _reduce(self, limit: float) -> None:
        elapsed = self.elapsed
        left = limit - elapsed
        needs = [self._estimate(reduction) for reduction in self.reductions]
        allowed = left - _RESERVE * limit
        before = self.level
        while self.level < len(needs) - 1 and needs[self.level] > allowed:
            self.level += 1
        remaining = len(self._pixels) - len(self._measured)
        if needs[self.level] > left:
            raise FoldsegError(
                f"{len(self._measured)} of {len(self._pixels)} images took {format_duration(elapsed)}; the others "
                f"would take {format_duration(needs[self.level])}, even with a single network, and "
                f"{format_duration(max(left, 0))} of the time limit {format_duration(limit)} are left. Nothing is "
                "written: use smaller networks, or a larger limit"
            )
        if self.level > before:
            parts = [reduction.left_out for reduction in self.reductions[before + 1 : self.level + 1]]
            logger.warning(
                "%d images remain and would take %s, %s are left: from here on without %s",
                remaining, format_duration(needs[before]), format_duration(left), ", ".join(parts),
            )  # fmt: skip

    def _estimate(self, reduction: Reduction) -> float:
        """Return the seconds that a reduction would take for all images that remain."""
        measured = self._measured[1:][-_WINDOW:]
        pixels = np.array([one.pixels for one in measured], np.float64)
        units = np.stack([one.unit_seconds for one in measured])
        has_member = ~np.isnan(units)
        unit_of_pixel = np.nansum(units, 0) / np.maximum(has_member.T @ pixels, 1.0)
        rest_of_pixel = sum(one.rest for one in measured) / pixels.sum()
        return (rest_of_pixel + reduction.estimate(unit_of_pixel)) * sum(self._pixels[len(self._measured) :])

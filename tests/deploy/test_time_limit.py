"""A prediction that watches the clock: a made-up one, on which every network takes exactly what it should."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from foldseg.config.schema import Tta
from foldseg.deploy.reductions import Reduction
from foldseg.deploy.time_limit import Watch, format_duration, parse_duration
from foldseg.errors import FoldsegError

FLIPS, PLAIN_TTA = Tta(symmetries="d4"), Tta()


@dataclass(frozen=True)
class Member:
    """A member that takes so many seconds for a network and a megapixel."""

    seconds: float
    folds: int
    tta: Tta = PLAIN_TTA

    @property
    def cost(self) -> float:
        return self.folds * len(self.tta.views)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


SLOW, FAST = Member(4.0, 2, FLIPS), Member(0.5, 2, FLIPS)
PLAIN = [replace(member, tta=PLAIN_TTA) for member in (SLOW, FAST)]
REDUCTIONS = [
    Reduction("", (SLOW, FAST)),
    Reduction("test-time augmentation", (PLAIN[0], PLAIN[1])),
    Reduction("member slow", (None, PLAIN[1])),
    Reduction("one of 2 folds", (None, replace(PLAIN[1], folds=1))),
]  # type: ignore[arg-type]
REST = 0.25  # seconds an image and megapixel that no network takes
FULL = REST + 8 * 2 * (4.0 + 0.5)


def predict(watch: Watch, clock: Clock, megapixels: list[float]) -> list[int]:
    """Return the level of each image. The first one takes ten seconds longer."""
    levels = []
    for number, size in enumerate(megapixels):
        reduction = watch.choose()
        levels.append(watch.level)
        seconds = np.array(
            [0.0 if m is None else m.seconds * m.cost * size for m in reduction.members]  # type: ignore[attr-defined]
        )
        clock.now += seconds.sum() + REST * size + (10 if number == 0 else 0)
        watch.add(seconds)
    return levels


def watch_of(limit: float | None, megapixels: list[float], clock: Clock, started: float | None = None) -> Watch:
    return Watch(REDUCTIONS, [round(size * 1e6) for size in megapixels], limit, started, clock)


@pytest.mark.parametrize(
    ("limit", "last"),
    [(None, 0), (1e9, 0), (FULL * 100 * 1.07 + 11, 0), (FULL * 60, 1), (FULL * 10, 2), (FULL * 4, 3)],
)
def test_no_more_is_left_out_than_must_be_and_the_limit_is_kept(limit: float | None, last: int) -> None:
    clock, images = Clock(), [1.0] * 100
    watch = watch_of(limit, images, clock)
    levels = predict(watch, clock, images)
    assert levels == sorted(levels) and levels[-1] == last
    assert sum(watch.images) == 100 and watch.images[last] > 0
    assert limit is None or watch.elapsed <= limit


def test_large_images_at_the_end_are_reckoned_with() -> None:
    images = [0.1] * 50 + [4.0] * 20
    clock = Clock()
    watch = watch_of(FULL * 60, images, clock)
    levels = predict(watch, clock, images)
    assert levels[0] == 0 and levels[2] == 1
    assert watch.elapsed <= FULL * 60


def test_time_that_has_passed_before_counts() -> None:
    clock, images = Clock(), [1.0] * 10
    limit = FULL * 10 * 1.1 + 30
    assert predict(watch_of(limit, images, clock), clock, images)[-1] == 0
    clock = Clock()
    watch = watch_of(limit, images, clock, started=clock.now - limit / 2)
    assert predict(watch, clock, images)[-1] > 0 and watch.elapsed <= limit


def test_what_cannot_be_ready_in_time_stops_at_once_and_says_so() -> None:
    clock, images = Clock(), [1.0] * 1000
    watch = watch_of(300.0, images, clock)
    says = (
        r"2 of 1000 images took .*the others would take .*, even with a single network, and .* of the time limit 5m 0s"
    )
    with pytest.raises(FoldsegError, match=says):
        predict(watch, clock, images)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("9h", 32400), ("1h30m", 5400), ("45m", 2700), ("90s", 90), ("90", 90), ("0.5h", 1800), (" 2m5s ", 125)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "9x", "-3s", "0", "0h", "9 hours", "1m1h", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no time such as 9h"):
        parse_duration(text)


def test_durations_are_written_for_people() -> None:
    assert [format_duration(value) for value in (7.46, 59.9, 65, 32340)] == ["7.5s", "59.9s", "1m 5s", "8h 59m"]

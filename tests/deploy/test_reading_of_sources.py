"""Runs that predict together read images in one way."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foldseg.config.schema import Pictures
from foldseg.deploy.runs_source import common_reading
from foldseg.errors import FoldsegError


def run_of(name: str, **settings: Any) -> Any:
    data = SimpleNamespace(pictures=Pictures(**settings))
    return SimpleNamespace(path=Path(name), experiment=SimpleNamespace(data=data))


def test_what_all_runs_read_alike_is_taken() -> None:
    """How masks and EXIF are read does not matter for other pictures, which are read upright."""
    runs = [
        run_of("a", channels=2, value_range=(0, 9)),
        run_of("b", channels=2, value_range=(0, 9), orientation="stored"),
    ]
    assert common_reading(runs) == Pictures(channels=2, value_range=(0, 9))


@pytest.mark.parametrize("other", [{"channels": 1}, {"value_range": (0, 1)}, {"white_level": 4095}])
def test_runs_that_read_images_in_different_ways_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(FoldsegError, match=r"b: reads images in another way than a \(data.pictures: "):
        common_reading([run_of("a"), run_of("b", **other)])

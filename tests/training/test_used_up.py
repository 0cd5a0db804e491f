"""A machine that runs out of memory or disk in the midst of a training: one clear error, and nothing is lost."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from tiny_training import assert_refused, tiny_overrides, trained

from command.line import CommandLine, can_mount

GIB = 2**30


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_overrides(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("workers", [0, 1])
def test_too_little_memory_says_what_to_lower(command_line: CommandLine, toy: list[str], tmp_path: Path, workers: int):
    large = "view.train={kind: crop, size: [4096, 4096]}"
    words = [*toy, f"runs={tmp_path}", large, f"workers={workers}", "batch_size=6"]
    done = trained(command_line, words, limits={"RLIMIT_AS": 9 * GIB})
    assert_refused(done, "out of memory", "lower")

"""A machine that runs out of memory or disk in the midst of a training: one clear error, and nothing is lost."""

from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
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


def test_too_little_memory_to_predict_says_what_to_do(command_line: CommandLine, toy: list[str], tmp_path: Path):
    assert trained(command_line, [*toy, f"runs={tmp_path}", "schedule.epochs=1"]).status == 0
    run = tmp_path / "toy_full/fold_0"
    large = "view.predict={kind: tiles, size: [16384, 16384]}"
    done = command_line.run("predict", run, large, limits={"RLIMIT_AS": 9 * GIB})
    assert_refused(done, "out of memory", "view.predict={kind: tiles", "what is predicted already is kept")


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
@pytest.mark.parametrize(
    ("folder", "size", "says"),
    [
        ("tensorboard", 4096, "tensorboard/events.out.tfevents"),
        ("checkpoints", 30 << 20, "checkpoints/last.ckpt: could not be written"),
    ],
)
def test_a_full_disk_is_one_error_and_the_run_goes_on_when_there_is_room(
    command_line: CommandLine, toy: list[str], tmp_path: Path, folder: str, size: int, says: str
):
    runs = {name: tmp_path / name / "toy_full/fold_0" for name in ("full", "plain")}
    (runs["full"] / folder).mkdir(parents=True)
    words = {name: [*toy, f"runs={tmp_path / name}"] for name in runs}
    done = trained(command_line, words["full"], disks={runs["full"] / folder: size})
    assert_refused(done, says, "could not be written")
    for name in runs:
        assert trained(command_line, words[name]).status == 0
    ours, theirs = (pd.read_csv(run / "metrics.csv").drop(columns="seconds") for run in runs.values())
    pd.testing.assert_frame_equal(ours, theirs)
    assert list(ours["epoch"]) == scalar_steps(runs["full"]) == [0, 1]


def scalar_steps(run: Path) -> list[int]:
    """Epochs that TensorBoard shows a loss of."""
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    return [event.step for event in events.Scalars("loss/train_loss")]


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_a_full_disk_of_the_cache_is_told(command_line: CommandLine, toy: list[str], tmp_path: Path):
    (tmp_path / "cache").mkdir()
    words = [*toy, f"runs={tmp_path}", f"cache={tmp_path / 'cache'}"]
    done = trained(command_line, words, disks={tmp_path / "cache": 16384})
    assert_refused(done, "cache: ", "decoded images take", "train without (cache=null)")

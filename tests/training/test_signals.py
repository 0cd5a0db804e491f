"""A training that is asked to end does so with a word, and the same command goes on."""

import signal
from pathlib import Path

import pytest
from tiny_training import started, tiny_overrides

from command.line import CommandLine


@pytest.mark.parametrize(
    ("number", "status", "says"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_training_that_is_asked_to_end_goes_on_later(
    command_line: CommandLine, tmp_path: Path, number: signal.Signals, status: int, says: str
) -> None:
    words = [*tiny_overrides(tmp_path), f"runs={tmp_path / 'runs'}", "schedule.epochs=40", "workers=1"]
    running = started(command_line, words)
    running.wait_to_say("epoch 2/40")
    running.kill(number, group=False)
    done = running.wait(60)
    assert done.status == status, done.said
    assert done.stderr.splitlines()[-1] == f"{says}; the same command goes on where it stopped"
    assert "Traceback" not in done.stderr
    run = tmp_path / "runs/toy_full/fold_0"
    assert (run / "checkpoints/last.ckpt").is_file() and not (run / "summary.json").exists()
    again = started(command_line, words)
    again.wait_to_say("epoch ")
    assert "epoch 1/40" not in again.said
    again.kill()
    again.wait()

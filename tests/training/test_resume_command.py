"""The training command, killed and given again: the same end to the last bit, or one clear message why not."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from command.line import CommandLine, Finished
from outcome import differences, outcome

CONFIG = "configs/experiments/toy_crop.yaml"
EPOCHS = 6


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> list[str]:
    """Overrides that train a tiny network on random crops of 6 frames of 64x48, with all that is random."""
    root = tmp_path_factory.mktemp("city")
    city = "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 2, seed: 3}"
    data = [f"data.root={root / 'city'}", f"data.folds={root / 'folds.csv'}", "data.fold_count=2", city]
    assert command_line.run("folds", "configs/data/toy_city.yaml", *data).status == 0
    network = "model={dropout: 0.2, options: {encoder_depth: 3, decoder_channels: [8, 8, 8]}}"
    view = "view.train={kind: crop, size: [32, 32], scale: [0.7, 1.5]}"
    kept = ["early_stopping=null", "validate_every=1", "batch_size=2", "augment=strong", "ema={warm_up: 2}", "top_k=2"]
    return [*data, network, view, *kept, f"schedule.epochs={EPOCHS}"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine, words: list[str]) -> Path:
    """The folder of a run that was left alone, and had no workers."""
    runs = tmp_path_factory.mktemp("whole")
    done = command_line.run("train", CONFIG, "0", *words, f"runs={runs}", "workers=0")
    assert done.status == 0, done.said
    return runs / "toy_crop/fold_0"


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_within_epochs_a_run_with_workers_ends_as_one_without(
    command_line: CommandLine, words: list[str], whole: Path, tmp_path: Path, workers: int
):
    command = ("train", CONFIG, "0", *words, f"runs={tmp_path}", f"workers={workers}")
    for epoch in (2, 4):
        started = command_line.start(*command)
        started.wait_to_say(f"epoch {epoch}/{EPOCHS}")
        started.kill()
        assert started.wait().status == -signal.SIGKILL, "it should be killed while it trains"
    done = command_line.run(*command)
    assert done.status == 0, done.said
    assert f"epoch 1/{EPOCHS}" not in done.said and f"epoch {EPOCHS}/{EPOCHS}" in done.said
    assert differences(outcome(whole), outcome(tmp_path / "toy_crop/fold_0")) == []


@pytest.fixture
def unfinished(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run without its last file."""
    run = Path(shutil.copytree(whole, tmp_path / "runs/toy_crop/fold_0"))
    (run / "summary.json").unlink()
    return run


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20000])


def make_hole(path: Path) -> None:
    """As a copy that went on after it had broken off: the end is there, 4 kB in the middle are not."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)


def take_weights_alone(path: Path) -> None:
    shutil.copy(path.with_name("best.ckpt"), path)


def assert_one_message(done: Finished, *parts: str) -> None:
    assert done.status == 1, done.said
    assert "Traceback" not in done.said
    message = done.stderr[done.stderr.index("error: ") :].strip()
    assert "\n" not in message
    assert all(part in message for part in parts), message


def times(run: Path) -> dict[Path, int]:
    """When each file of a run was written, but for the settings: a run that was copied takes over its new folder."""
    paths = (path for path in run.rglob("*") if path.is_file() and path.name != "config.yaml")
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("last", empty, "it is empty"),
        ("last", cut, "it is cut short"),
        ("last", make_hole, "has another checksum"),
        ("last", take_weights_alone, "does not hold the state of a training"),
        ("last", lambda path: path.write_text("not weights"), "is not a file of weights, or is damaged"),
        ("best", cut, "it is cut short"),
        ("best", Path.unlink, "no such file"),
        ("top_5", make_hole, "has another checksum"),
    ],
)
def test_a_damaged_checkpoint_is_named_before_training_goes_on(
    command_line: CommandLine, words: list[str], unfinished: Path, name: str, damage: Callable, reason: str
):
    checkpoints = unfinished / "checkpoints"
    if name.startswith("top"):
        name = min(path.stem for path in checkpoints.glob("top_*.ckpt"))
    damage(checkpoints / f"{name}.ckpt")
    before = times(unfinished)
    runs = f"runs={unfinished.parents[1]}"
    done = command_line.run("train", CONFIG, "0", *words, runs, "workers=0")
    assert_one_message(done, f"{name}.ckpt", reason, f"remove {unfinished}")
    assert times(unfinished) == before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("best", ["train", CONFIG, "0", "WORDS"]),
        ("best", ["predict", "RUN"]),
        ("average", ["predict", "RUN", "--checkpoint", "average"]),
        ("best", ["predict-images", "RUN", "CITY/seg_test_images", "--out", "OUT"]),
        ("best", ["export-onnx", "RUN", "OUT/x.onnx"]),
        ("best", ["export-encoder", "RUN", "OUT/encoder.pth"]),
        ("average", ["soup", "RUN"]),
        ("best", ["train", CONFIG, "0", "WORDS", "name=other", "model.start_from=RUN"]),
    ],
)
def test_a_finished_run_with_a_damaged_checkpoint_is_refused_by_name_and_nothing_is_lost(
    command_line: CommandLine, words: list[str], whole: Path, tmp_path: Path, name: str, command: list[str]
):
    run = Path(shutil.copytree(whole, tmp_path / "runs/toy_crop/fold_0"))
    make_hole(run / f"checkpoints/{name}.ckpt")
    places = {"RUN": run, "CITY": words[0].removeprefix("data.root="), "OUT": tmp_path / "out"}
    filled: list[str] = []
    for word in command:
        for place, path in places.items():
            word = word.replace(place, str(path))
        filled += [*words, f"runs={tmp_path / 'runs'}", "workers=0"] if word == "WORDS" else [word]
    predictions = {path: path.read_bytes() for path in run.rglob("*.prob")}
    assert_one_message(command_line.run(*filled), f"{name}.ckpt: is damaged")
    assert predictions and predictions == {path: path.read_bytes() for path in run.rglob("*.prob")}


def test_every_session_is_recorded_and_other_code_is_said(
    command_line: CommandLine, words: list[str], unfinished: Path
):
    command = ("train", CONFIG, "0", *words, f"runs={unfinished.parents[1]}", "workers=0")
    provenance = unfinished / "provenance.json"
    facts = json.loads(provenance.read_text())
    (first,) = facts["sessions"]
    assert first["libraries"]["torch"] and first["started"] and first["machine"] and len(first["code"]) == 12
    first["libraries"]["torch"], first["git_commit"], first["code"] = "1.0.0", "0123456789ab", "ba9876543210"
    provenance.write_text(json.dumps(facts))
    done = command_line.run(*command)
    assert done.status == 0, done.said
    sessions = json.loads(provenance.read_text())["sessions"]
    assert sessions[0] == first and len(sessions) == 2
    (warning,) = [line for line in done.stderr.splitlines() if "goes on with other code" in line]
    for change in ("git_commit", "code"):
        assert f"{first[change]} -> {sessions[1][change] or 'unknown'}" in warning
    assert f"torch 1.0.0 -> {sessions[1]['libraries']['torch']}" in warning
    (unfinished / "summary.json").unlink()
    again = command_line.run(*command)
    assert "other code" not in again.said
    assert len(json.loads(provenance.read_text())["sessions"]) == 3

"""An ensemble on a machine that lacks something, or with damaged files of its own: one clear error."""

import json
import os
import shutil
import signal
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import zstandard

from command.line import CommandLine, Finished, can_mount
from foldseg.files import read_json
from tiny_demo import REPOSITORY, TinyDemo, ensemble_overrides

TOY = REPOSITORY / "configs/ensembles/toy.yaml"
STEPS = "steps=[{kind: bias, force: true}, {kind: clean_up, min_area: [4], force: true}]"


def words(demo: TinyDemo, submissions: Path, *more: str) -> list[object]:
    return [TOY, *ensemble_overrides(demo.root), STEPS, f"submissions={submissions}", "name=machine", *more]


def assert_one_error(done: Finished, *says: str) -> None:
    assert done.status == 1, done.said
    assert "Traceback" not in done.said
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.said
    assert all(part in errors[0] for part in says), errors


def test_a_finished_submission_stays_until_the_new_one_is_finished(command_line, demo, made: Path, tmp_path) -> None:
    folder = Path(shutil.copytree(made / "machine", tmp_path / "machine"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    started = command_line.start("ensemble", *words(demo, tmp_path, "workers=2", "tta=[]", "blend=geometric_mean"))
    started.wait_to_say("is replaced when this one is finished")
    wait_for_workers(started, 2)
    started.kill()
    started.wait()
    assert {path: path.read_bytes() for path in before} == before
    assert command_line.run("verify", folder).status == 0
    done = command_line.run("ensemble", *words(demo, tmp_path, "tta=[]", "blend=geometric_mean"))
    assert done.status == 0, done.said
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in (made / "machine").iterdir())
    assert command_line.run("verify", folder).status == 0
    assert read_json(folder / "score.json") != read_json(made / "machine/score.json")


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    command_line: CommandLine, demo: TinyDemo, tmp_path: Path, workers: int
) -> None:
    for size in (4096, 64 << 10):
        more = words(demo, tmp_path, f"workers={workers}")
        done = command_line.run("ensemble", *more, disks={tmp_path: size})
        assert_one_error(done, "No space left on device", str(tmp_path))
    done = command_line.run("ensemble", *words(demo, tmp_path))
    assert done.status == 0, done.said
    assert not (tmp_path / "machine/work").exists()


@pytest.mark.parametrize("number", [20, 26])
def test_too_few_open_files_are_told(command_line, demo, tmp_path, number: int) -> None:
    done = command_line.run("ensemble", *words(demo, tmp_path, "workers=3"), limits={"RLIMIT_NOFILE": number})
    assert_one_error(done, "Too many open files")


def workers_of(pid: int) -> list[int]:
    """Processes that blend: children of `pid` that were spawned to work, not to track semaphores."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def wait_for_workers(started, number: int) -> list[int]:
    end = time.monotonic() + 120
    while len(found := workers_of(started.pid)) < number:
        assert started.is_running() and time.monotonic() < end, started.said
        time.sleep(0.01)
    return found


def test_a_killed_worker_is_told(command_line, demo, tmp_path) -> None:
    started = command_line.start("ensemble", *words(demo, tmp_path, "workers=2"))
    os.kill(wait_for_workers(started, 2)[0], signal.SIGKILL)
    assert_one_error(started.wait(), "workers: one of the 2 blending processes was killed")


def test_interrupted_workers_say_nothing_and_the_same_command_goes_on(command_line, demo, tmp_path) -> None:
    started = command_line.start("ensemble", *words(demo, tmp_path, "workers=2"))
    wait_for_workers(started, 2)
    started.kill(signal.SIGINT)
    done = started.wait()
    assert done.status == 130 and "Traceback" not in done.said and "Process" not in done.said
    assert done.stderr.splitlines()[-1] == "interrupted; the same command goes on where it stopped"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_store_is_named_by_workers_too(command_line, demo, tmp_path, workers: int) -> None:
    runs = Path(shutil.copytree(demo.root / "runs", tmp_path / "runs"))
    store = sorted((runs / "toy_crop/fold_0/predictions/oof-flip").glob("*.prob"))[3]
    store.write_bytes(store.read_bytes()[:-9])
    done = command_line.run("ensemble", *words(demo, tmp_path, f"runs={runs}", f"workers={workers}"))
    assert_one_error(done, str(store), "is damaged")


def test_no_memory_for_an_image_is_told(command_line, demo, tmp_path) -> None:
    """A store of maps of 60000x60000 pixels, on a machine that has no such memory."""
    runs = Path(shutil.copytree(demo.root / "runs", tmp_path / "runs"))
    store = sorted((runs / "toy_crop/fold_0/predictions/oof-flip").glob("*.prob"))[3]
    header = json.dumps({"classes": 5, "height": 900_000, "width": 900_000}).encode()
    body = zstandard.ZstdCompressor().compress(bytes(10))
    store.write_bytes(b"FSP2" + struct.pack("<I", len(header)) + header + body)
    done = command_line.run("ensemble", *words(demo, tmp_path, f"runs={runs}", "workers=2"))
    assert done.status == 1 and "Traceback" not in done.said
    assert store.stem in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def made(command_line, demo, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("submissions")
    done = command_line.run("ensemble", *words(demo, folder))
    assert done.status == 0, done.said
    return folder


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "fitted.npz: no such file; run foldseg ensemble again"),
        (b"", "fitted.npz: is damaged"),
        (b"PK\x03\x04 cut short", "fitted.npz: is damaged"),
        (b"\x93NUMPY", "fitted.npz: is damaged"),
        ({"0/factors": np.ones(5)}, "does not say which steps are left out"),
        ({"left_out": np.empty(0, int)}, "holds nothing, which is not of the steps in config.yaml"),
        ({"left_out": np.array([0, 1]), "7/x": np.ones(2)}, "holds ['7/x'], which is not of the steps in config.yaml"),
    ],
)
def test_a_damaged_fitted_npz_is_named(command_line, demo, made: Path, tmp_path, content, says: str) -> None:
    folder = Path(shutil.copytree(made / "machine", tmp_path / "machine"))
    (folder / "fitted.npz").unlink()
    if isinstance(content, dict):
        np.savez(folder / "fitted.npz", **content)
    elif content is not None:
        (folder / "fitted.npz").write_bytes(content)
    done = command_line.run("predict-images", folder, demo.root / "city/seg_test_images", "--out", tmp_path / "out")
    assert_one_error(done, says)


@pytest.mark.parametrize(
    "content", [b"", b"members: [", b"\xff\xfe", b"- 1", b"members: [{experiment: toy_full}]\nsteps: 3"]
)
def test_a_damaged_config_of_a_submission_is_named(command_line, demo, made: Path, tmp_path, content: bytes) -> None:
    folder = Path(shutil.copytree(made / "machine", tmp_path / "machine"))
    (folder / "config.yaml").write_bytes(content)
    assert_one_error(command_line.run("verify", folder), "config.yaml")


def test_damaged_work_is_done_again(command_line, demo, made: Path, tmp_path) -> None:
    """Work that a killed ensemble has left: empty, cut short, of something else, of another image."""
    started = command_line.start("ensemble", *words(demo, tmp_path))
    while len(list(tmp_path.glob("machine/work/*/*.npz"))) < 30:  # the second pass: it starts from what the first kept
        assert started.is_running(), started.said
        time.sleep(0.01)
    started.kill()
    started.wait()
    kept = sorted(tmp_path.glob("machine/work/*/*.npz"))
    for path, damaged in zip(kept, (b"", b"PK\x03\x04 cut short", b"\x93NUMPY"), strict=False):
        path.write_bytes(damaged)
    kept_maps = max(tmp_path.glob("machine/work/*/maps"), key=lambda folder: len(list(folder.iterdir())))
    maps = sorted(kept_maps.glob("*.prob"))
    maps[-1].write_bytes(maps[-1].read_bytes()[:-5])
    shutil.copy(maps[1], maps[0])  # that of another image
    done = command_line.run("ensemble", *words(demo, tmp_path))
    assert done.status == 0, done.said
    assert read_json(tmp_path / "machine/score.json") == read_json(made / "machine/score.json")

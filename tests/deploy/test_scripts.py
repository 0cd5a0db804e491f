"""The commands as a user gives them: export a run, then predict from the file alone, on a machine without torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tiny import COLOURS, blocks, make_run

from command.line import CommandLine
from foldseg.config.schema import ResizedView
from foldseg.data import camvid
from foldseg.deploy.interface import FLIP, PredictionOptions
from foldseg.deploy.sources import open_source
from foldseg.files import read_json
from foldseg.submission.label_png import write_png

REPOSITORY = Path(__file__).parents[2]
WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
runpy.run_module("foldseg", run_name="__main__", alter_sys=True)
"""
HALF = "view.predict={kind: resized, factor: 0.5}"


def run(verb: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run a command in an interpreter that finds no torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, verb, *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, size in enumerate([(64, 96), (50, 71), (33, 40)]):
        write_png(tmp_path / f"pictures/{number}.png", COLOURS[blocks(*size, seed=number)][..., ::-1])
    return tmp_path / "pictures"


def test_a_run_is_exported_and_compared_on_its_data(
    camvid_root: Path, command_line: CommandLine, tmp_path: Path
) -> None:
    finished = make_run(tmp_path / "x", root=camvid_root)
    done = command_line.run("export-onnx", finished.path, tmp_path / "x.onnx", HALF, "--check")
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("8 pictures: probabilities differ by up to ")
    shutil.rmtree(finished.path)
    assert open_source(tmp_path / "x.onnx").provenance["view"] == ResizedView(factor=0.5).model_dump(mode="json")


def test_pictures_are_predicted_from_the_file_alone(exported: Path, pictures: Path, tmp_path: Path) -> None:
    done = run("predict-images", exported, pictures, "--out", tmp_path / "out", "--tta", "flip", HALF)
    assert done.returncode == 0, done.stderr
    source = open_source(exported, PredictionOptions((HALF,), FLIP))
    for number, size in enumerate([(64, 96), (50, 71), (33, 40)]):
        found = cv2.imread(str(tmp_path / f"out/{number}.png"), cv2.IMREAD_UNCHANGED)
        expected = camvid.LABELS.decode(source.predict_label_map(COLOURS[blocks(*size, seed=number)]))
        assert np.array_equal(found, expected)
    assert read_json(tmp_path / "out/prediction.json")["view"] == ResizedView(factor=0.5).model_dump(mode="json")


def test_a_damaged_picture_is_an_error_when_the_others_are_done(exported: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "0.png").write_bytes(b"nothing")
    done = run("predict-images", exported, pictures, "--out", tmp_path / "out", "--as", "overlay", "--alpha", "0.3")
    assert done.returncode == 1
    assert (
        "error: 1 of 3 pictures could not be predicted" in done.stderr
        and "0.png: is not a readable image" in done.stderr
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1.png", "2.png", "prediction.json"]
    assert "Traceback" not in done.stderr


def test_a_video_is_predicted_from_the_file_alone(exported: Path, tmp_path: Path) -> None:
    frames = [COLOURS[blocks(64, 96, seed=number)] for number in range(3)]
    for number, frame in enumerate(frames):
        write_png(tmp_path / f"frames/{number}.png", frame[..., ::-1])
    out, options = tmp_path / "out.mp4", ["--scale", "0.5", "--fps", "4", "--alpha", "1", "--side-by-side"]
    done = run("predict-video", exported, tmp_path / "frames", out, *options)
    assert done.returncode == 0, done.stderr
    source = open_source(exported, PredictionOptions((HALF,)))
    with av.open(str(out)) as video:
        assert video.streams.video[0].average_rate == 4
        found = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(found) == 3
    for frame, picture in zip(frames, found, strict=True):
        assert picture.shape[1] == 192
        expected = camvid.LABELS.colourise(source.predict_label_map(frame))
        seen = np.abs(picture[:64, 96:, None].astype(int) - COLOURS).sum(-1).argmin(-1)
        assert (COLOURS[seen] == expected).all(-1).mean() > 0.8  # all but edges, where colours run into each other

"""Images of one and of five channels: trained, predicted, exported and drawn; or what says why they cannot be."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from command.line import CommandLine, Finished
from foldseg.config import load_data
from foldseg.data.folds_file import make_folds_file
from foldseg.runs.checkpoints import read_checkpoint
from foldseg.runs.run_folder import RunFolder

Line = Callable[..., Finished]


def as_grey_png(path: Path) -> None:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(path.with_suffix(".png")), picture)
    path.unlink()


def as_five_floats(path: Path) -> None:
    """Write red, green, blue, and two channels that are made of them, as floats from -1 to 1."""
    picture = cv2.imread(str(path))[..., ::-1].astype(np.float32)
    more = np.stack([255 - picture[..., 0], picture.mean(2)], 2)
    np.save(path.with_suffix(".npy"), np.concatenate([picture, more], 2) / 127.5 - 1)
    path.unlink()


CHANNELS = {
    1: (as_grey_png, ["data.pictures.channels=1"]),
    5: (as_five_floats, ["data.pictures.channels=5", "data.pictures.value_range=[-1, 1]"]),
}


@pytest.fixture(params=CHANNELS)
def channels(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def data(signate_root: Path, tmp_path: Path, channels: int) -> Sequence[str]:
    """Convert the images; return the settings of the data."""
    convert, settings = CHANNELS[channels]
    for folder in ("seg_train_images", "seg_test_images"):
        for path in sorted((signate_root / folder).glob("*.jpg")):
            convert(path)
    settings = [f"data.root={signate_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2", *settings]
    make_folds_file(load_data(Path("configs/data/signate.yaml"), settings))
    return ["data.dataset=signate", "data.labels=all", *settings]


def train(line: CommandLine, data: Sequence[str], folder: Path, *words: str) -> Finished:
    settings = [*data, f"runs={folder}", "workers=0", "schedule.epochs=1", "validate_every=1", "batch_size=2"]
    settings += ["model.options.decoder_channels=[8, 8, 8, 8]", "name=any", "augment=weather"]
    return line.run("train", "configs/experiments/toy_crop.yaml", "0", *settings, *words)


def test_images_of_other_channels_go_all_the_way(
    command_line: CommandLine, data: Sequence[str], signate_root: Path, tmp_path: Path, channels: int
) -> None:
    copies = "copy_paste={probability: 1.0, classes: {car: [lane]}, min_pixels: 4}"
    done = train(command_line, data, tmp_path / "runs", f"cache={tmp_path / 'cache'}", copies)
    assert done.status == 0, done.said
    assert done.stderr.count("RandomRain") == 1 and "cannot be done" in done.stderr
    run = RunFolder.open(tmp_path / "runs/any/fold_0")
    assert run.statistics is not None and len(run.statistics[0]) == channels
    state = read_checkpoint(run.best)["state_dict"]
    assert np.allclose(state["network.mean"].ravel() / 255, run.statistics[0], atol=1e-5)
    assert np.allclose(1 / (state["network.scale"].ravel() * 255), run.statistics[1], atol=1e-5)

    exported = tmp_path / "any.onnx"
    images = sorted((signate_root / "seg_test_images").iterdir())
    for words in (
        ("predict", run.path),
        ("predict", run.path, "view.predict={kind: resized, long_side: 96}", "--tta", "flip"),
        ("export-onnx", run.path, exported, "--check"),
        ("predict-images", run.path, images[0].parent, "--out", tmp_path / "by_run"),
        ("predict-images", exported, images[0].parent, "--out", tmp_path / "by_file"),
        ("predict-images", run.path, images[0], "--out", tmp_path / "drawn", "--as", "overlay"),
        ("show-batch", run.config, "--out", tmp_path / "batch.png"),
    ):
        done = command_line.run(*words)
        assert done.status == 0, (words, done.said)
    for image in images:
        masks = [cv2.imread(str(tmp_path / by / f"{image.stem}.png")) for by in ("by_run", "by_file")]
        assert np.mean(masks[0] == masks[1]) > 0.99

    done = command_line.run("predict-video", run.path, images[0].parent, tmp_path / "a.mp4")
    assert done.status == 1 and f"a video has 3 channels, and the network takes {channels}" in done.stderr


def test_what_does_not_fit_is_said(
    command_line: CommandLine, data: Sequence[str], signate_root: Path, tmp_path: Path, channels: int
) -> None:
    wrong = [text for text in data if "value_range" not in text and "channels" not in text]
    done = train(command_line, [*wrong, "data.pictures.channels=4"], tmp_path / "runs")
    assert done.status == 1 and "Traceback" not in done.stderr
    if channels == 1:
        assert "has 1 channel(s); expected 4 (data.pictures.channels)" in done.stderr
    else:
        assert "holds numbers of the type float32 from -" in done.stderr
        assert "give data.pictures.value_range=[LOW, HIGH]" in done.stderr
        narrow = [*wrong, "data.pictures.channels=5", "data.pictures.value_range=[0, 1]"]
        done = train(command_line, narrow, tmp_path / "runs")
        assert done.status == 1 and "of them lie outside of data.pictures.value_range=[[0.0, 1.0]]" in done.stderr


def test_rgb_may_have_the_statistics_of_the_data(command_line: CommandLine, signate_root: Path, tmp_path: Path) -> None:
    """A run that is stopped and resumed keeps them, and so does one that starts from it."""
    data = [f"data.root={signate_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2"]
    make_folds_file(load_data(Path("configs/data/signate.yaml"), data))
    data = ["data.dataset=signate", "data.labels=all", "model.normalise=data", *data]
    assert train(command_line, data, tmp_path / "runs").status == 0
    run = RunFolder.open(tmp_path / "runs/any/fold_0")
    trained_on = [path for path in sorted((signate_root / "seg_train_images").iterdir()) if path.stem not in _held(run)]
    pixels = np.concatenate([cv2.imread(str(path))[..., ::-1].reshape(-1, 3) for path in trained_on]) / 255
    assert run.statistics is not None and np.allclose(run.statistics, (pixels.mean(0), pixels.std(0)), atol=1e-3)
    run.summary.unlink()
    assert train(command_line, data, tmp_path / "runs").status == 0
    state = read_checkpoint(run.best)["state_dict"]
    assert np.allclose(state["network.mean"].ravel() / 255, run.statistics[0], atol=1e-5)


def _held(run: RunFolder) -> set[str]:
    """Ids of the images that a run is validated on."""
    table = pd.read_csv(run.experiment.data.folds)
    return set(table["id"][table["fold"] == run.fold])

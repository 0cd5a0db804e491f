"""Images of several sizes: trained in batches in every view that can, predicted at their own size, or refused."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from tiny_training import assert_refused

from command.line import CommandLine, Finished
from foldseg.config import load_data
from foldseg.data.folds_file import make_folds_file
from foldseg.inference.store import PredictionStore

SIZES = [(48, 64), (64, 48), (30, 77), (48, 64), (100, 40), (33, 33), (64, 48), (20, 25)]
TRAIN_VIEWS = {
    "size": "{kind: resized, size: [32, 64]}",
    "long_side": "{kind: resized, long_side: 64}",
    "crop": "{kind: crop, size: [64, 96], scale: [0.5, 2.0]}",  # larger than all images
}
PREDICT_VIEWS = [
    "{kind: full}",
    "{kind: resized, factor: 0.5}",
    "{kind: resized, size: [32, 64]}",
    "{kind: resized, long_side: 64}",
    "{kind: tiles, size: [64, 64]}",
]

Train = Callable[..., Finished]


@pytest.fixture
def train(command_line: CommandLine, signate_root: Path, tmp_path: Path) -> Train:
    """Train one fold of images of `SIZES`, for one epoch in batches of two; returns what came of it."""
    for index, (height, width) in enumerate(SIZES):
        for name in (f"seg_train_images/train_{index:04d}.jpg", f"seg_train_annotations/train_{index:04d}.png"):
            path = str(signate_root / name)
            picture = cv2.imread(path)
            assert cv2.imwrite(path, cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))
    data = [f"data.root={signate_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2"]
    make_folds_file(load_data(Path("configs/data/signate.yaml"), data))
    settings = ["data.dataset=signate", "data.labels=all", *data, f"runs={tmp_path / 'runs'}", "workers=0"]
    settings += ["schedule.epochs=1", "validate_every=1", "batch_size=2", "eval_batch_size=2", "name=mixed"]
    settings += ["model.options.decoder_channels=[8, 8, 8, 8]"]

    def run(*words: str) -> Finished:
        return command_line.run("train", "configs/experiments/toy_full.yaml", "0", *settings, *words)

    return run


@pytest.mark.parametrize("name", TRAIN_VIEWS)
def test_images_of_several_sizes_train_in_batches_and_are_predicted_at_their_own_size(
    train: Train, command_line: CommandLine, tmp_path: Path, name: str
) -> None:
    done = train(f"view.train={TRAIN_VIEWS[name]}", "cut_mix={probability: 0.5}", f"cache={tmp_path / 'cache'}")
    assert done.status == 0, done.said
    views = PREDICT_VIEWS if name == "size" else [TRAIN_VIEWS["long_side"]]
    for view in views:
        done = command_line.run("predict", tmp_path / "runs/mixed/fold_0", f"view.predict={view}")
        assert done.status == 0, (view, done.said)
    stores = list((tmp_path / "runs/mixed/fold_0/predictions").glob("oof*"))
    assert len(stores) >= len(views)
    for folder in stores:
        store = PredictionStore(folder)
        assert len({SIZES[int(image[-4:])] for image in store.metadata.ids}) > 2
        for image in store.metadata.ids:
            assert store.read(image).shape[1:] == SIZES[int(image[-4:])]


@pytest.mark.parametrize("view", ["{kind: full}", "{kind: resized, factor: 1.5}"])
def test_views_that_keep_sizes_apart_are_refused_before_training_with_the_cure(
    train: Train, tmp_path: Path, view: str
) -> None:
    done = train(f"view.train={view}")
    assert_refused(
        done,
        "view.train: train_",
        "(width x height): images of",
        "cannot be in one batch of 2",
        "long_side: ",
        "kind: crop",
        "batch_size=1",
    )
    assert not (tmp_path / "runs/mixed/fold_0/config.yaml").exists()
    assert train(f"view.train={view}", "batch_size=1").status == 0


def test_a_source_of_another_size_is_found_before_training(train: Train, signate_root: Path, tmp_path: Path) -> None:
    """Images of the data set have one size, those of a source have another one."""
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        folder = signate_root / f"seg_train_{kind}"
        for index in range(len(SIZES)):
            (folder / f"train_{index:04d}.{suffix}").write_bytes((folder / f"train_0000.{suffix}").read_bytes())
        (tmp_path / kind).mkdir()
        picture = cv2.imread(str(folder / f"train_0001.{suffix}"))
        assert cv2.imwrite(str(tmp_path / kind / f"other.{suffix}"), picture[:30])
    source = f"{{images: {tmp_path / 'images'}, masks: {tmp_path / 'annotations'}}}"
    done = train("view.train={kind: full}", f"sampling.sources=[{source}]")
    assert_refused(done, "images/other.jpg is 64x30")

"""From settings to samples: with every setting on, from files and from a cache, with any number of workers."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from foldseg.config import Experiment
from foldseg.config.schema import FullView
from foldseg.data import camvid
from foldseg.data.cache import cache_frames
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.frames import FileFrames
from foldseg.errors import FoldsegError
from foldseg.views.augment import AUGMENTATIONS
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.eval_samples import EvalSamples
from foldseg.views.train_samples import TrainSamples, train_loader

CROP = {"kind": "crop", "size": [32, 32], "scale": [0.5, 2.0]}
EVERYTHING = {
    "sampling": {
        "samples_per_epoch": 12,
        "oversample_below": 0.9,
        "balance": {"kind": "class_crops", "share": 0.5, "classes": "inverse_root"},
    },
    "cut_mix": {"probability": 0.5},
    "copy_paste": {"probability": 0.5, "classes": {"car": ["road"]}, "scale": [0.7, 1.4]},
}


@pytest.fixture
def table(camvid_root: Path) -> pd.DataFrame:
    """Eight images, of which two are validated on in fold 0."""
    table = camvid.scan(camvid_root)
    table = table[table["split"] == "train"]
    return table.assign(fold=np.arange(8) // 2)


def experiment(root: Path, view: object = CROP, **settings: object) -> Experiment:
    data = {"dataset": "camvid", "root": root, "folds": "none.csv"}
    views = {"train": view, "predict": {"kind": "full"}}
    return Experiment.model_validate({"name": "x", "data": data, "view": views, "augment": "strong", **settings})


def fold_of(made: Experiment, table: pd.DataFrame, validation: pd.DataFrame) -> FoldData:
    """Fold 0 of a data set that is divided as `table` says."""
    data = DataSet(made.data)
    vars(data)["folded"] = table
    return FoldData(data, 0, table[table["fold"] != 0], validation)


def build(root: Path, table: pd.DataFrame, view: object = CROP, **settings: object) -> TrainSamples:
    made = experiment(root, view, **settings)
    return build_train_samples(made, fold_of(made, table, table[table["fold"] == 0]), 32)


def equal(one: TrainSamples, other: TrainSamples, epochs: int = 2) -> bool:
    assert len(one) == len(other)
    places = [(epoch, index) for epoch in range(epochs) for index in range(len(one))]
    return all(
        torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1]) and ours[2] == theirs[2]
        for ours, theirs in ((one[place], other[place]) for place in places)
    )


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_samples_from_the_cache_are_those_from_files(
    augment: str, camvid_root: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    for view in (CROP, {"kind": "full"}, {"kind": "resized", "factor": 0.75}):
        files = build(camvid_root, table, view, augment=augment)
        cached = build(camvid_root, table, view, augment=augment, cache=tmp_path / "cache")
        assert equal(files, cached)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_with_everything_on_the_cache_and_the_number_of_workers_change_nothing(
    camvid_root: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    more = {"images": camvid_root / "val", "masks": camvid_root / "valannot", "ratio": 0.5}
    settings = EVERYTHING | {"sampling": EVERYTHING["sampling"] | {"sources": [more]}}  # type: ignore[operator]
    found = []
    for workers, cache in ((0, None), (2, None), (2, tmp_path / "cache")):
        loader = train_loader(build(camvid_root, table, cache=cache, **settings), 3, workers, seed=0)
        batches = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            batches += list(loader)
        found.append(batches)
    for one in found[1:]:
        assert [batch.ids for batch in one] == [batch.ids for batch in found[0]]
        for ours, theirs in zip(one, found[0], strict=True):
            assert torch.equal(ours.images, theirs.images)
            assert torch.equal(ours.masks, theirs.masks)
    assert sum(name.startswith("0016E5") for batch in found[0][:4] for name in batch.ids) == 4


def test_samples_of_the_cache_may_be_written_to(camvid_root: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    """A whole frame that needs no padding would be the cache's own memory, and a write to it a crash."""
    frames = cache_frames(FileFrames.of(table, camvid_root, camvid.LABELS), tmp_path)
    image, mask = frames.read(0)
    view = FullView(kind="full")
    inputs, target, _ = TrainSamples(frames, view, "none", 16, 0)[0, 0]
    sample = EvalSamples(frames, view, 16)[0]
    assert inputs.shape == (3, 48, 64)
    for ours, theirs in ((inputs, image), (sample.inputs, image), (target, mask), (sample.mask, mask)):
        assert not np.shares_memory(np.asarray(ours), theirs)  # type: ignore[arg-type]
        assert np.asarray(ours).flags.writeable


def test_every_epoch_is_mixed_anew(camvid_root: Path, table: pd.DataFrame) -> None:
    full = {"kind": "full"}
    for settings in (
        {"cut_mix": {"probability": 1.0}},
        {"copy_paste": {"probability": 1.0, "classes": {"car": ["road"]}}},
    ):
        samples = build(camvid_root, table, full, augment="none", **settings)
        assert len({samples[epoch, 0][0].numpy().tobytes() for epoch in range(6)}) > 3


def test_validation_reads_the_cache_of_the_training_images(
    camvid_root: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    def samples(cache: Path | None) -> EvalSamples:
        made = experiment(camvid_root, cache=cache)
        return build_validation_samples(made, fold_of(made, table, table[table["fold"] == 0].iloc[::-1]), 32)

    build(camvid_root, table, cache=tmp_path)
    for ours, theirs in zip(
        (samples(tmp_path)[i] for i in range(2)), (samples(None)[i] for i in range(2)), strict=True
    ):
        assert ours.id == theirs.id
        assert torch.equal(ours.inputs, theirs.inputs)
        assert np.array_equal(ours.mask, theirs.mask)  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("*/index.json"))) == 1


def test_settings_that_are_off_leave_samples_as_they_were(camvid_root: Path, table: pd.DataFrame) -> None:
    plain = build(camvid_root, table)
    never = build(
        camvid_root, table, cut_mix={"probability": 0.0}, copy_paste={"probability": 0.0, "classes": {"car": ["road"]}}
    )
    assert equal(plain, never)


def test_only_training_images_of_the_fold_are_ever_seen(camvid_root: Path, table: pd.DataFrame) -> None:
    """The validation images are painted white with a class that nothing else has: no pixel of it may come up."""
    for row in table[table["fold"] == 0].to_dict("records"):
        cv2.imwrite(str(camvid_root / row["image"]), np.full((48, 64, 3), 255, np.uint8))
        cv2.imwrite(str(camvid_root / row["mask"]), np.full((48, 64), 10, np.uint8))
    own = {"images": camvid_root / "train", "masks": camvid_root / "trainannot", "ratio": 1.0}
    settings = EVERYTHING | {"sampling": {"sources": [own]}}
    samples = build(camvid_root, table, augment="none", **settings)
    assert len(samples) == 12
    for epoch in range(15):
        for index in range(12):
            image, mask, name = samples[epoch, index]
            assert name not in table[table["fold"] == 0]["id"].tolist()
            assert not (mask == 10).any()
            assert not (image == 255).all(0).any()


def test_class_crops_hold_their_class(camvid_root: Path, table: pd.DataFrame) -> None:
    """A car fills an eighth of the frame; a small crop that may lie anywhere often misses it."""
    view = {"kind": "crop", "size": [8, 8], "scale": [1.0, 1.0]}
    crops = {"balance": {"kind": "class_crops", "share": 1.0, "classes": {"car": 1.0}}}
    aimed = build(camvid_root, table, view, augment="none", sampling=crops)
    blind = build(camvid_root, table, view, augment="none")
    holds = [[bool((made[epoch, i][1] == 8).any()) for epoch in range(8) for i in range(6)] for made in (aimed, blind)]
    assert all(holds[0])
    assert np.mean(holds[1]) < 0.7


def test_positive_crops_hold_their_class_and_the_others_come_from_images_without(
    camvid_root: Path, table: pd.DataFrame
) -> None:
    for row in table.iloc[4:].to_dict("records"):
        mask = cv2.imread(str(camvid_root / row["mask"]), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(camvid_root / row["mask"]), np.where(mask == 8, 3, mask))
    view = {"kind": "crop", "size": [8, 8]}
    positive = {"kind": "positive", "classes": ["car"], "start": 1.0, "end": 0.5}
    samples = build(camvid_root, table, view, augment="none", sampling={"balance": positive}, schedule={"epochs": 3})
    for epoch, expected in ((0, 6), (2, 3)):
        assert sum(bool((samples[epoch, i][1] == 8).any()) for i in range(6)) == expected


def test_copy_paste_adds_pixels_of_its_class(camvid_root: Path, table: pd.DataFrame) -> None:
    paste = {"probability": 1.0, "classes": {"car": ["road"]}}
    cars = [
        sum(int((made[0, i][1] == 8).sum()) for i in range(6))
        for made in (
            build(camvid_root, table, {"kind": "full"}, augment="none", copy_paste=paste),
            build(camvid_root, table, {"kind": "full"}, augment="none"),
        )
    ]
    assert cars[0] > 1.3 * cars[1]


def test_class_crops_without_crops_are_refused(camvid_root: Path) -> None:
    with pytest.raises(ValueError, match=r"sampling\.balance class_crops needs view\.train\.kind crop; found full"):
        experiment(camvid_root, {"kind": "full"}, sampling={"balance": "class_crops"})


def test_an_unknown_class_is_told_before_training(camvid_root: Path, table: pd.DataFrame) -> None:
    with pytest.raises(FoldsegError, match=r"copy_paste\.classes: unknown classes bus; valid are sky, building"):
        build(camvid_root, table, copy_paste={"classes": {"bus": ["road"]}})

"""Samples for training and for prediction: derived from (seed, epoch, index) and nothing else."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from foldseg.config.schema import CropView, FullView, ResizedView, TilesView
from foldseg.data import camvid, signate
from foldseg.data.frames import FileFrames
from foldseg.errors import FoldsegError
from foldseg.views.epoch_plan import EpochSampler
from foldseg.views.eval_samples import EvalSamples, eval_loader
from foldseg.views.train_samples import TrainBatch, TrainSamples, train_loader

FULL = FullView(kind="full")
CROP = CropView(kind="crop", size=(32, 32), scale=(0.5, 2.0))


def train_samples(root: Path, view: object = CROP, augment: str = "strong", seed: int = 0) -> TrainSamples:
    table = camvid.scan(root)
    frames = FileFrames.of(table[table["split"] == "train"], root, camvid.LABELS)
    return TrainSamples(frames, view, augment, 32, seed)  # type: ignore[arg-type]


def batches(samples: TrainSamples, workers: int, epochs: int = 1, size: int = 3) -> list[TrainBatch]:
    loader = train_loader(samples, size, workers, seed=5)
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        found += list(loader)
    return found


def test_the_same_place_gives_the_same_sample_bit_by_bit(camvid_root: Path) -> None:
    """Design rule 10: nothing but (seed, epoch, index) matters, not what was drawn before."""
    first, second = train_samples(camvid_root), train_samples(camvid_root)
    for place in [(0, 7), (5, 3), (2, 2)]:
        second[place]
    for epoch in range(6):
        image, mask, name = first[epoch, 1]
        again, mask_again, name_again = second[epoch, 1]
        assert torch.equal(image, again)
        assert torch.equal(mask, mask_again)
        assert name == name_again == "0001TP_000060"


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_gives_other_samples(camvid_root: Path, other: dict[str, int]) -> None:
    ours, theirs = train_samples(camvid_root), train_samples(camvid_root, seed=other.get("seed", 0))
    same = [torch.equal(ours[0, i][0], theirs[other.get("epoch", 0), i][0]) for i in range(8)]
    assert not any(same)


def test_two_samples_of_one_epoch_are_cut_differently(camvid_root: Path) -> None:
    """The same picture under two ids: albumentations' draws must not repeat within an epoch."""
    table = camvid.scan(camvid_root)
    twice = pd.concat([table.iloc[:1]] * 8)
    samples = TrainSamples(FileFrames.of(twice, camvid_root, camvid.LABELS), CROP, "strong", 32, 0)
    pictures = {samples[0, i][0].numpy().tobytes() for i in range(8)}
    assert len(pictures) == 8


def test_the_number_of_workers_changes_nothing(camvid_root: Path) -> None:
    alone, helped = (batches(train_samples(camvid_root), workers, epochs=2) for workers in (0, 2))
    assert [batch.ids for batch in alone] == [batch.ids for batch in helped]
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.masks, other.masks)


def test_batches_have_the_promised_shapes(camvid_root: Path) -> None:
    found = batches(train_samples(camvid_root), 0)
    assert len(found) == 2  # 8 images, 3 a batch; the last two are left out
    assert (found[0].images.shape, found[0].images.dtype) == ((3, 3, 32, 32), torch.uint8)
    assert (found[0].masks.shape, found[0].masks.dtype) == ((3, 32, 32), torch.uint8)


@pytest.mark.parametrize(
    ("view", "size"),
    [
        (FULL, (64, 64)),  # 48x64, padded to multiples of 32
        (ResizedView(kind="resized", factor=0.5), (32, 32)),
        (ResizedView(kind="resized", factor=1.5), (96, 96)),  # 72x96
        (CropView(kind="crop", size=(40, 70)), (64, 96)),
        (CROP, (32, 32)),
    ],
)
def test_samples_are_padded_to_the_networks_multiple(camvid_root: Path, view: object, size: tuple[int, int]) -> None:
    image, mask, _ = train_samples(camvid_root, view, "none")[0, 0]
    assert image.shape == (3, *size)
    assert mask.shape == size


def test_padding_is_void(camvid_root: Path) -> None:
    """Defect 36, and the void of the mask file stays."""
    _, mask, _ = train_samples(camvid_root, FULL, "none")[0, 0]
    assert (mask[48:] == 255).all()
    assert (mask[44:48, :6] == 255).all()
    assert (mask[:44] != 255).all()


def test_epoch_sampler_orders_every_epoch_anew_and_the_same_again() -> None:
    sampler = EpochSampler(50, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2]
    assert [i for _, i in orders[0]] != [i for _, i in orders[1]]
    assert sorted(orders[1]) == [(1, i) for i in range(50)]
    assert list(EpochSampler(50, seed=2)) != orders[0]
    assert len(sampler) == 50


def test_a_batch_larger_than_the_data_is_refused(camvid_root: Path) -> None:
    with pytest.raises(FoldsegError, match="batch_size: 9 is more than the 8 images to train on"):
        train_loader(train_samples(camvid_root), 9, 0, 0)


def test_full_images_of_different_sizes_are_explained(camvid_root: Path) -> None:
    for folder, channels in (("train", 3), ("trainannot", 1)):
        shape = (48, 100, 3)[: 2 + (channels == 3)]
        cv2.imwrite(str(camvid_root / folder / "0001TP_000060.png"), np.zeros(shape, np.uint8))
    with pytest.raises(FoldsegError, match="images of a batch differ in size"):
        batches(train_samples(camvid_root, FULL, "none"), 0, size=8)


def test_a_mask_of_another_size_is_named(camvid_root: Path) -> None:
    cv2.imwrite(str(camvid_root / "trainannot" / "0001TP_000060.png"), np.zeros((48, 60), np.uint8))
    with pytest.raises(FoldsegError, match=r"0001TP_000060\.png: is 60x48, its image .* is 64x48"):
        train_samples(camvid_root)[0, 1]
    with pytest.raises(FoldsegError, match=r"0001TP_000060\.png: is 60x48, its image .* is 64x48"):
        EvalSamples(FileFrames.of(camvid.scan(camvid_root), camvid_root, camvid.LABELS), FULL, 32)[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_keeps_the_tables_order_and_the_original_mask(camvid_root: Path, workers: int) -> None:
    table = camvid.scan(camvid_root).iloc[::-1]
    view = TilesView(kind="tiles", size=(64, 96))
    loader = eval_loader(EvalSamples(FileFrames.of(table, camvid_root, camvid.LABELS), view, 32), workers)
    found = list(loader)
    assert [sample.id for sample in found] == table["id"].tolist()
    assert found[0].inputs.shape == (1, 3, 64, 96)
    assert found[0].mask is not None
    assert found[0].mask.shape == found[0].grid.original == (48, 64)


def test_evaluation_works_without_masks(signate_root: Path) -> None:
    table = signate.scan(signate_root)
    frames = FileFrames.of(table[table["split"] == "test"], signate_root, signate.LABELS)
    found = EvalSamples(frames, FULL, 32)[0]
    assert found.mask is None
    assert found.id == "test_000"


@pytest.mark.parametrize(
    ("view", "size"),
    [
        (ResizedView(kind="resized", factor=0.75), (64, 64)),
        (FULL, (64, 64)),
        (FullView(kind="full", multiple=40), (160, 160)),  # lcm(40, 32)
    ],
)
def test_training_and_prediction_prepare_a_picture_alike(camvid_root: Path, view: object, size: tuple) -> None:
    """Defect 35: train and predict must see the same pixels."""
    trained, mask, _ = train_samples(camvid_root, view, "none")[0, 0]
    assert trained.shape[1:] == mask.shape == size
    frames = FileFrames.of(camvid.scan(camvid_root), camvid_root, None)
    predicted = EvalSamples(frames, view, 32)[0].inputs[0]  # type: ignore[arg-type]
    assert torch.equal(trained, predicted)

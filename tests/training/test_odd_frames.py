"""Training frames and masks as cameras and broken disks leave them: used as they were meant, or refused by name."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

import odd_pictures
from command.line import CommandLine, Finished
from foldseg.config import load_data
from foldseg.data import signate
from foldseg.data.cache import CachedFrames
from foldseg.data.folds_file import make_folds_file

IMAGES, MASKS, TEST = "seg_train_images", "seg_train_annotations", "seg_test_images"
STORED = "data.pictures.orientation=stored"


@pytest.fixture
def train(command_line: CommandLine, signate_root: Path, tmp_path: Path):
    """Divide and train one fold for one epoch, with a cache; the data are in `signate_root`."""
    data = [f"data.root={signate_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2"]
    make_folds_file(load_data(Path("configs/data/signate.yaml"), data))

    def run(*words: str) -> Finished:
        settings = [
            "data.dataset=signate",
            "data.labels=all",
            *data,
            f"runs={tmp_path / 'runs'}",
            "workers=0",
        ]
        settings += ["schedule.epochs=1", "validate_every=1", "batch_size=2", f"cache={tmp_path / 'cache'}", *words]
        done = command_line.run("train", "configs/experiments/toy_crop.yaml", "0", *settings)
        assert "Traceback" not in done.stderr
        return done

    return run


def rewrite(root: Path, orientation: int, square: bool = False) -> None:
    """Store the training frames as a camera does that is held so; masks stay upright; phones append something."""
    for file in (root / IMAGES).glob("*.jpg"):
        mask = root / MASKS / f"{file.stem}.png"
        if square:
            for path in (file, mask):
                cv2.imwrite(str(path), cv2.imread(str(path))[:, 8:56])
        picture = np.array(PillowImage.open(file))
        content = odd_pictures.with_orientation(picture, orientation, quality=98, subsampling=0)
        file.write_bytes(content + b"SEFH" + bytes(200) + b"SEFT")


def fit_of_masks(cache: Path) -> float:
    """Mean difference of the frames that were trained on and the colours of their masks' classes."""
    frames = CachedFrames(next(cache.glob("*/index.json")).parent)
    worst = 0.0
    for index in range(len(frames.ids)):
        image, mask = frames.read(index)
        worst = max(worst, float(np.abs(image.astype(int) - signate.LABELS.colours[mask]).mean()))
    return worst


@pytest.mark.parametrize(("orientation", "square"), [(3, False), (6, True)])
def test_upright_masks_fit_frames_that_are_stored_turned(
    train, signate_root: Path, tmp_path: Path, orientation: int, square: bool
) -> None:
    rewrite(signate_root, orientation, square)
    done = train()
    assert done.status == 0, done.stderr
    assert fit_of_masks(tmp_path / "cache") < 12
    assert done.stderr.count("has an EXIF orientation (8 of 10 images do) and is turned upright") == 1
    assert STORED in done.stderr


def test_masks_of_the_stored_pixels_fit_if_that_is_said(train, signate_root: Path, tmp_path: Path) -> None:
    rewrite(signate_root, 6)
    for path in (signate_root / MASKS).glob("*.png"):
        cv2.imwrite(str(path), np.rot90(cv2.imread(str(path))))
    refused = train()
    assert refused.status == 1 and STORED in refused.stderr and "8 images cannot be used" in refused.stderr
    assert "train_0000.png: is 48x64, its image" in refused.stderr and "is 64x48" in refused.stderr
    done = train(STORED)
    assert done.status == 0, done.stderr
    assert fit_of_masks(tmp_path / "cache") < 12
    assert done.stderr.count("has an EXIF orientation (8 of 10 images do) and is not turned") == 1


@pytest.mark.parametrize("folder", [IMAGES, TEST])
def test_every_broken_frame_is_named_before_training(
    train, command_line: CommandLine, signate_root: Path, tmp_path: Path, folder: str
) -> None:
    files = sorted((signate_root / folder).glob("*.jpg"))[:2]
    jpeg = odd_pictures.encoded(odd_pictures.scene(48, 64), quality=95)
    files[0].write_bytes(odd_pictures.hole(jpeg, 300))
    files[1].write_bytes(odd_pictures.jpeg_with_size(jpeg, 40_000, 40_000))
    done = train()
    assert done.status == 1 and "2 images cannot be used" in done.stderr
    assert f"{files[0].name}: is damaged" in done.stderr
    assert f"{files[1].name}: is 40000x40000 pixels; at most 1,073,741,824 are read" in done.stderr
    assert not list((tmp_path / "runs").rglob("config.yaml"))
    folds = [f"data.root={signate_root}", f"data.folds={tmp_path / 'new.csv'}", "data.fold_count=2"]
    made = command_line.run("folds", "configs/data/signate.yaml", *folds)
    assert made.status == 1 and f"{files[0].name}: is damaged" in made.stderr and "Traceback" not in made.stderr


def test_a_frame_above_pillows_limit_is_no_bomb(train, signate_root: Path) -> None:
    """14000x13000 pixels, of which nearly all are missing: that is what is said."""
    file = signate_root / TEST / "test_000.jpg"
    file.write_bytes(odd_pictures.jpeg_with_size(file.read_bytes(), 13_000, 14_000))
    done = train()
    assert done.status == 1 and "error: " in done.stderr and "DecompressionBomb" not in done.stderr
    assert "test_000.jpg: is damaged: some of its pixels are lost" in done.stderr


def test_masks_with_an_opaque_fourth_channel_are_taken_and_others_say_why_not(train, signate_root: Path) -> None:
    masks = sorted((signate_root / MASKS).glob("*.png"))
    for path in masks:
        cv2.imwrite(str(path), cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2BGRA))
    assert train().status == 0
    picture = cv2.imread(str(masks[2]), cv2.IMREAD_UNCHANGED)
    picture[:2, :5, 3] = 0
    cv2.imwrite(str(masks[2]), picture)
    done = train("name=again")
    assert done.status == 1
    assert f"{masks[2].name}: 10 of its pixels are transparent" in done.stderr

"""Fixtures: a tiny CamVid and a tiny SIGNATE folder, whose pictures show every class in its own colour."""

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest
from hypothesis import settings

from command.line import CommandLine
from foldseg.data import camvid, signate

if TYPE_CHECKING:
    from tiny_demo import TinyDemo

HEIGHT, WIDTH = 48, 64
SEED = 7

# Many containers forbid Python to keep what it has compiled; then every process of the tests compiles all of torch anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ["FOLDSEG_CACHE"] = tempfile.mkdtemp(prefix="foldseg_hashes_")  # not the user's
atexit.register(shutil.rmtree, os.environ["FOLDSEG_CACHE"], ignore_errors=True)

settings.register_profile("foldseg", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("foldseg")

CAMVID_FRAMES = {
    # Groups, by hand: 0001TP has 30, 60 and (340 frames later) 400, 430; 0006R0 has 930, 960 and 1300, 1330
    "train": [
        "0001TP_000030", "0001TP_000060", "0001TP_000400", "0001TP_000430",
        "0006R0_f00930", "0006R0_f00960", "0006R0_f01300", "0006R0_f01330",
    ],
    "val": ["0016E5_08001", "0016E5_08003"],
    "test": ["Seq05VD_f00030", "Seq05VD_f00060"],
}  # fmt: skip


@pytest.fixture(scope="session")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Scripts, as a user runs them; see `command/line.py`."""
    line = CommandLine(tmp_path_factory.mktemp("commands"))
    yield line
    line.stop()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> "TinyDemo":
    """The tiny demo, made once: trained, predicted, blended, scored."""
    from tiny_demo import make_demo  # torch and its kin take seconds

    return make_demo(tmp_path_factory.mktemp("demo"))


def street(index: int, sky: int, road: int, building: int, car: int) -> np.ndarray:
    """(48, 64) uint8 raw ids: sky above buildings above a road, and a car whose place depends on `index`."""
    ids = np.full((HEIGHT, WIDTH), road, np.uint8)
    ids[:14] = sky
    ids[14:26] = building
    left = 4 + 7 * (index % 6)
    ids[28:40, left : left + 14] = car
    return ids


def paint(ids: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Raw ids -> RGB picture in the classes' colours, with a little noise."""
    noise = np.random.default_rng(int(ids.sum())).integers(-6, 7, (*ids.shape, 3))
    return np.clip(colours[ids].astype(int) + noise, 0, 255).astype(np.uint8)


def write_rgb(path: Path, picture: np.ndarray) -> None:
    """Write an RGB array as PNG or JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture
def camvid_root(tmp_path: Path) -> Path:
    """CamVid's layout: 8 train, 2 val and 2 test frames of 64x48; the lower left corner of each is void (11)."""
    root = tmp_path / "camvid"
    colours = np.vstack([camvid.LABELS.colours, [[0, 0, 0]]])
    for split, names in CAMVID_FRAMES.items():
        (root / f"{split}annot").mkdir(parents=True)
        for index, name in enumerate(names):
            ids = street(index, sky=0, road=3, building=1, car=8)
            ids[44:, :6] = 11
            write_rgb(root / split / f"{name}.png", paint(ids, colours))
            assert cv2.imwrite(str(root / f"{split}annot" / f"{name}.png"), ids)
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in names]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def signate_root(tmp_path: Path) -> Path:
    """Build the AI Edge layout: 8 train frames of two drives and 2 test frames of 64x48."""
    root = tmp_path / "signate"
    colours = signate.LABELS.colours
    for index in range(8):
        ids = street(index, sky=10, road=14, building=11, car=0)
        ids[20:24, 50:54] = 8  # a signal
        name = f"train_{index:04d}"
        write_rgb(root / "seg_train_images" / f"{name}.jpg", paint(ids, colours))
        write_rgb(root / "seg_train_annotations" / f"{name}.png", colours[ids])
        # Frames 0 to 3 are one run of one drive; 4, 5 and 40, 41 are two runs of another
        drive = {"route": "Tokyo", "timeofday": "day"} if index < 4 else {"route": "Saitama", "timeofday": "night"}
        facts = {"attributes": drive, "frameIndex": [0, 1, 2, 3, 4, 5, 40, 41][index], "labels": []}
        (root / "seg_train_annotations" / f"{name}.json").write_text(json.dumps(facts))
    for index in range(2):
        ids = street(index + 3, sky=10, road=14, building=11, car=0)
        write_rgb(root / "seg_test_images" / f"test_{index:03d}.jpg", paint(ids, colours))
    return root

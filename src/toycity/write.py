"""Writing the data set: the frames of both splits, in the contest's folders and file names."""

import json
import logging
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from toycity.palette import label_colours
from toycity.plan import FramePlan, plan_split
from toycity.render import render_frame
from toycity.scene import Scene, build_scene

logger = logging.getLogger(__name__)

_TRAIN, _TEST = 0, 1
"""Numbers of the splits, which seeds contain."""
_JPEG_QUALITY = 92
SETTINGS = "toy_city.json"
"""Name of the file, below the root, that holds the settings which the city was built with."""


@dataclass(frozen=True)
class _Task:
    """A frame that is to be made, with all that a worker process needs for it."""

    root: Path
    seed: int
    split: int
    width: int
    height: int
    plan: FramePlan


def generate_toy_city(
    root: Path,
    *,
    width: int = 256,
    height: int = 160,
    train_frames: int = 60,
    test_frames: int = 20,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Write a made-up data set in the contest's layout to `root`, which must not exist yet.

    The files depend on the settings alone, not on `workers`. toy_city.json holds the settings. All files are written
    beside `root` first and put in place at the end, so `root` is never half-written. FileExistsError if `root` exists,
    ValueError for impossible settings.
    """
    if root.exists():
        raise FileExistsError(f"{root} exists already; remove it or choose another folder")
    if min(width, height) < 32 or min(train_frames, test_frames) < 0:
        raise ValueError(f"cannot make {train_frames} + {test_frames} frames of {width} x {height} pixels")
    partial = root.with_name(root.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    for folder in ("seg_train_images", "seg_train_annotations", "seg_test_images"):
        (partial / folder).mkdir(parents=True)
    tasks = [
        _Task(partial, seed, split, width, height, plan)
        for split, frames in ((_TRAIN, train_frames), (_TEST, test_frames))
        for plan in plan_split(seed, split, frames)
    ]
    logger.info("making %d street scenes of %d x %d pixels in %s", len(tasks), width, height, root)
    if workers > 1:
        # Not forked: if OpenCV has started its threads already, a forked process hangs
        context = get_context("spawn")
        # A chunk is about as long as a drive, so that a worker builds the scene of a drive only once
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_threaded) as pool:
            _wait_for_all(pool.map(_write_frame, tasks, chunksize=5), len(tasks))
    else:
        _wait_for_all(map(_write_frame, tasks), len(tasks))
    settings = {
        "width": width,
        "height": height,
        "train_frames": train_frames,
        "test_frames": test_frames,
        "seed": seed,
    }
    (partial / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")
    partial.rename(root)


def _wait_for_all(results: Iterable[None], total: int) -> None:
    """Wait for all results, with a progress bar. An error in a worker is raised here."""
    for _ in tqdm(results, total=total, desc="toy city", unit="frame", disable=None):
        pass


def _single_threaded() -> None:
    """Keep OpenCV to one thread in a worker, since there is a worker per core already."""
    cv2.setNumThreads(1)


@lru_cache(maxsize=2)
def _scene_of_drive(seed: int, split: int, drive: int, route: str, timeofday: str) -> Scene:
    """Return the scene of a drive. For the drive's next frames it is remembered."""
    return build_scene(seed, split, drive, route, timeofday)


def _write_frame(task: _Task) -> None:
    """Make one frame and write its files."""
    plan = task.plan
    scene = _scene_of_drive(task.seed, task.split, plan.drive, plan.route, plan.timeofday)
    frame_seed = (task.seed, task.split, 2, plan.drive, plan.step)
    picture, labels = render_frame(scene, plan.step, frame_seed, task.width, task.height)
    if task.split == _TEST:
        _write_jpeg(task.root / "seg_test_images" / f"test_{plan.number:03d}.jpg", picture)
        return
    name = f"train_{plan.number:04d}"
    _write_jpeg(task.root / "seg_train_images" / f"{name}.jpg", picture)
    truth = task.root / "seg_train_annotations"
    _write_png(truth / f"{name}.png", label_colours()[labels])
    tags = {
        "attributes": {"route": plan.route, "timeofday": plan.timeofday},
        "frameIndex": plan.frame_index,
    }
    (truth / f"{name}.json").write_text(json.dumps(tags), encoding="utf-8")


def _write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3) as a JPEG."""
    _write(path, picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3) as a PNG."""
    _write(path, picture, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 4])


def _write(path: Path, picture: NDArray[np.uint8], suffix: str, options: list[int]) -> None:
    """Encode an RGB picture and write it."""
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(f"OpenCV could not encode {path}")
    path.write_bytes(data.tobytes())

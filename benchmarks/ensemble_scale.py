#!/usr/bin/env python3
"""Time and memory of a blend by the number of members, at the AI Edge Contest's size and 20 categories.

    benchmarks/ensemble_scale.py [--members 1 5 25 50] [--images 4] [--workers 2]

Stores are made up: street-like blocks, sharp inside and unsure at their edges, another error of each member. Images are
blended, the members' disagreements are gathered, and it is scored. Memory is the peak of all processes together.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from contest_scale import MemoryWatch

from foldseg.config.schema import MeanBlend
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.ensemble.image import ImageTask, MemberStores
from foldseg.ensemble.line import Line
from foldseg.ensemble.parallel import map_in_processes
from foldseg.ensemble.passes import Pass, run_pass
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.ensemble.sample import MAX_BYTES
from foldseg.inference.store import PredictionStore

SIZE = (1216, 1936)
CLASSES = 20
LABELS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,)) for i in range(CLASSES)))


def truth_of(image: int) -> np.ndarray:
    blocks = np.random.default_rng(image).integers(0, CLASSES, (6, 9), dtype=np.uint8)
    return cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


def maps_of(truth: np.ndarray, seed: int) -> np.ndarray:
    """(classes, H, W) uint8: the truth, shifted by up to 12 pixels and blurred."""
    shift = np.random.default_rng(seed).integers(-12, 13, 2)
    moved = np.roll(truth, tuple(shift), (0, 1))
    planes = [cv2.GaussianBlur((moved == c).astype(np.float32), (0, 0), 4) + 1e-4 for c in range(CLASSES)]
    maps = np.stack(planes)
    return (255 * maps / maps.sum(0) + 0.5).astype(np.uint8)


def make(folder: Path, members: int, images: int) -> list[ImageTask]:
    """Write the stores that are not there yet; return the tasks of these members."""
    stores = [PredictionStore(folder / f"member_{m}") for m in range(members)]
    tasks = []
    for image in range(images):
        truth, name = truth_of(image), f"im{image}"
        mask = folder / f"{name}.png"
        cv2.imwrite(str(mask), truth)
        for m, store in enumerate(stores):
            if not (store.path / f"{name}.prob").is_file():
                store.write(name, maps_of(truth, 1000 * m + image))
        of_members = tuple(MemberStores((store,), np.arange(CLASSES)) for store in stores)
        tasks.append(ImageTask(name, mask, mask, of_members, Line()))
    return tasks


def pass_of(members: int) -> Pass:
    """Blend, score, and gather where members disagree, with the memory an image has in the contest."""
    names = tuple(f"member_{m}" for m in range(members))
    spec = EnsembleSpec(names, np.ones(members), MeanBlend(), LABELS, "dataset_miou")
    return Pass(spec, max_bytes=MAX_BYTES // 2243)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 5, 25, 50])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print("| members | images | wall | CPU an image and member | peak memory |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for members in args.members:
            tasks = make(Path(folder), members, args.images)
            watch, before, start = MemoryWatch(os.getpid()), os.times(), time.monotonic()
            for _ in map_in_processes(partial(run_pass, pass_of(members)), tasks, args.workers, "blending"):
                pass
            wall, after, peak = time.monotonic() - start, os.times(), watch.end()
            cpu = sum(after[i] - before[i] for i in range(4))
            each = 1000 * cpu / args.images / members
            print(f"| {members} | {args.images} | {wall:.1f} s | {each:.0f} ms | {peak / 2**30:.2f} GiB |", flush=True)


if __name__ == "__main__":
    main()

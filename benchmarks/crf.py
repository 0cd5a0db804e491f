#!/usr/bin/env python3
"""Dense CRF: pydensecrf's plain full-size call, image by image, against the crf step's shortcuts.

    benchmarks/crf.py runs/camvid_cpu/fold_0 [--images 6]

OOF probabilities of a run and its frames, enlarged to the AI Edge Contest's 1936x1216. "plain" is DenseCRF2D with all
classes. Wall time is of all images together, on as many processes as there are cores where it says so.
"""

import argparse
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from foldseg.config import load_experiment
from foldseg.config.schema import CrfStep
from foldseg.data.datasets import DataSet
from foldseg.data.reading import read_image
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.parallel import map_in_processes
from foldseg.ensemble.steps.crf import dense_crf, kernels
from foldseg.inference.store import PredictionStore

SIZE = (1936, 1216)
SETTINGS = CrfStep(iterations=5, smooth_weight=1.0, appearance_weight=2.0)
WAYS = {
    "likely classes": SETTINGS,
    "... at half size": SETTINGS.model_copy(update={"scale": 0.5}),
    "... where unsure (below 0.95)": SETTINGS.model_copy(update={"sure": 0.95}),
    "... both": SETTINGS.model_copy(update={"scale": 0.5, "sure": 0.95}),
}


@dataclass(frozen=True)
class Frame:
    id: str
    image: Path
    store: PredictionStore

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        planes = self.store.read(self.id).astype(np.float32)
        maps = np.stack([cv2.resize(plane, SIZE) for plane in planes])
        return maps / maps.sum(0), cv2.resize(read_image(self.image), SIZE, interpolation=cv2.INTER_CUBIC)


def plain(frame: Frame) -> tuple[np.ndarray, float]:
    from pydensecrf.densecrf import DenseCRF2D

    maps, image = frame.read()
    started = time.process_time()
    kernel = kernels(SETTINGS)[0]
    field = DenseCRF2D(*SIZE, len(maps))
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(maps, 1e-5)).reshape(len(maps), -1)))
    field.addPairwiseGaussian(sxy=kernel["smooth_std"], compat=kernel["smooth_weight"])
    field.addPairwiseBilateral(
        sxy=kernel["appearance_std"], srgb=kernel["appearance_colour_std"],
        rgbim=np.ascontiguousarray(image), compat=kernel["appearance_weight"],
    )  # fmt: skip
    refined = np.array(field.inference(SETTINGS.iterations)).reshape(maps.shape)
    return argmax(refined), time.process_time() - started


def quick(settings: CrfStep, frame: Frame) -> tuple[np.ndarray, float]:
    maps, image = frame.read()
    started = time.process_time()
    return argmax(dense_crf(maps, image, settings)), time.process_time() - started


def timed(function: object, frames: list[Frame], workers: int) -> tuple[list[np.ndarray], float, float]:
    """Labels, CPU seconds of the CRF itself an image, wall seconds of all images together."""
    started = time.monotonic()
    results = list(map_in_processes(function, frames, workers, "CRF"))
    return [labels for labels, _ in results], float(np.mean([cpu for _, cpu in results])), time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=6)
    args = parser.parse_args()
    data = DataSet(load_experiment(args.run / "config.yaml").data)
    store, table = PredictionStore(args.run / "predictions/oof"), data.samples.set_index("id")
    chosen = store.metadata.ids[:: max(1, len(store.metadata.ids) // args.images)][: args.images]
    frames = [Frame(name, data.root / table.loc[name, "image"], store) for name in chosen]
    unsure = np.mean([(frame.read()[0].max(0) < 0.95).mean() for frame in frames])
    print(f"{len(frames)} frames of {SIZE[0]}x{SIZE[1]}, {len(store.metadata.classes)} classes; unsure: {unsure:.1%}\n")
    before = [argmax(frame.read()[0]) for frame in frames]
    exact, slow_cpu, slow_wall = timed(plain, frames, 1)
    cores = os.cpu_count() or 1
    print("| way | CPU an image | ratio | wall of all, processes | ratio | labels that differ from plain |")
    print("| --- | --- | --- | --- | --- | --- |")
    moved = np.mean([(a != b).mean() for a, b in zip(before, exact, strict=True)])
    print(f"| no CRF | | | | | {moved:.2%} |")
    print(f"| plain | {slow_cpu:.2f} s | 1x | {slow_wall:.1f} s, 1 | 1x | 0% |")
    for name, settings in WAYS.items():
        labels, cpu, wall = timed(partial(quick, settings), frames, cores)
        differ = np.mean([(a != b).mean() for a, b in zip(labels, exact, strict=True)])
        ratios = slow_cpu / cpu, slow_wall / wall
        print(f"| {name} | {cpu:.2f} s | {ratios[0]:.1f}x | {wall:.1f} s, {cores} | {ratios[1]:.1f}x | {differ:.2%} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measure foldseg's training loader, from files and from its cache, against the plain loader of tutorials.

The plain one is a DataLoader over a Dataset that opens files with Pillow, makes class indices by comparing with every
class, augments with one albumentations pipeline (scale, pad, crop, flip, colour), normalises on the CPU and hands over
float32 NCHW. Same images, crops, batch and augmentation. A second one, `fast masks`, makes class indices by foldseg's
own code, so that what is left is the loader.

Prints a markdown table. All loaders run in turns in this one process, without workers, one thread each: CPU time, best
of the turns. Read the ratios; the times are this machine's. A floor that is not met is said, never an error.

    benchmarks/loader.py configs/experiments/camvid_crop.yaml configs/experiments/toy_contest.yaml
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from foldseg.config import Experiment, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.data.fold_data import FoldData
from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.mask_files import read_mask
from foldseg.views.augment import AUGMENTATIONS
from foldseg.views.build import build_train_samples
from foldseg.views.train_samples import train_loader

FLOORS = {"plain": None, "plain, fast masks": None, "files": 1.5, "cache": 5.0}
STRIDE = 32
TURNS = 3


ReadMask = Callable[[Path, LabelSet], np.ndarray]


def compare_classes(path: Path, labels: LabelSet) -> np.ndarray:
    """Class indices as tutorials make them: one comparison of the whole mask per raw id or colour."""
    raw = np.array(Image.open(path))
    mask = np.full(raw.shape[:2], IGNORE_INDEX, np.uint8)
    for index, label in enumerate(labels.classes):
        for raw_id in label.raw_ids:
            mask[(raw == labels.raw_colours[raw_id]).all(-1) if labels.raw_colours else raw == raw_id] = index
    return mask


class PlainSamples(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What a tutorial's Dataset does."""

    def __init__(self, table: pd.DataFrame, experiment: Experiment, labels: LabelSet, read: ReadMask) -> None:
        self.read = read
        self.rows = list(table.itertuples())
        self.root, self.labels = experiment.data.root, labels
        view = experiment.view.train
        steps: list[A.BasicTransform] = []
        if view.window is not None:
            low, high = view.scale_range
            if low < high:
                steps.append(A.RandomScale((low - 1, high - 1), p=1.0))
            steps += [A.PadIfNeeded(*view.window, fill=0, fill_mask=IGNORE_INDEX), A.RandomCrop(*view.window)]
        else:
            steps.append(A.PadIfNeeded(None, None, STRIDE, STRIDE, fill=0, fill_mask=IGNORE_INDEX))
        steps += AUGMENTATIONS[experiment.augment]()
        self.augment = A.Compose([*steps, A.Normalize(), ToTensorV2()])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self.rows[index]
        image = np.array(Image.open(self.root / row.image).convert("RGB"))
        done = self.augment(image=image, mask=self.read(self.root / row.mask, self.labels))
        return done["image"], done["mask"].long()


def loaders(experiment: Experiment, images: int, cache: Path) -> dict[str, DataLoader[Any]]:
    """Build the loaders that are compared, over the same `images`."""
    data = DataSet(experiment.data)
    labels, part = data.labels, data.folded.iloc[:images]
    vars(data)["folded"] = part  # so that no more is cached
    first = part.iloc[0]["mask"]
    if not np.array_equal(*(read(experiment.data.root / first, labels) for read in (compare_classes, read_mask))):
        raise SystemExit(f"{first}: foldseg and the baseline read different masks; their times cannot be compared")
    plain = partial(DataLoader, batch_size=experiment.batch_size, shuffle=True, drop_last=True)
    build = partial(_ours, FoldData(data, 0, part, part))
    return {
        "plain": plain(PlainSamples(part, experiment, labels, compare_classes)),
        "plain, fast masks": plain(PlainSamples(part, experiment, labels, read_mask)),
        "files": build(experiment.model_copy(update={"cache": None})),
        "cache": build(experiment.model_copy(update={"cache": cache})),
    }


def _ours(fold_data: FoldData, experiment: Experiment) -> DataLoader[Any]:
    samples = build_train_samples(experiment, fold_data, STRIDE)
    return train_loader(samples, experiment.batch_size, 0, experiment.seed)


def cpu_ms(batches: Iterable[Any], images: int) -> float:
    """CPU time per image in ms of one pass."""
    start = time.process_time()
    for _ in batches:
        pass
    return 1e3 * (time.process_time() - start) / images


def compare(config: Path, images: int, overrides: list[str]) -> None:
    experiment = load_experiment(config, overrides)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = loaders(experiment, images, Path(folder))
        seconds = time.perf_counter() - start
        numbers = {name: len(loader) * experiment.batch_size for name, loader in made.items()}
        turns = [{name: cpu_ms(loader, numbers[name]) for name, loader in made.items()} for _ in range(TURNS)]
    best = {name: min(turn[name] for turn in turns) for name in made}
    view = experiment.view.train.model_dump(exclude_defaults=True)
    print(f"\n{config.stem}: {numbers['cache']} images, {view}, {experiment.augment}; cache built in {seconds:.1f} s\n")
    print("| loader | ms an image | images/s a core | ratio | floor | met |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, floor in FLOORS.items():
        ratio = best["plain"] / best[name]
        held = ("", "") if floor is None else (f"{floor:g}x", "yes" if ratio >= floor else "**no**")
        print(f"| {name} | {best[name]:.2f} | {1e3 / best[name]:.0f} | {ratio:.1f}x | {held[0]} | {held[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, help="YAML of experiments")
    parser.add_argument("--images", type=int, default=160, help="of each (default: %(default)s)")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides of all experiments")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for config in args.configs:
        compare(config, args.images, args.set)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measure foldseg's training against the plain loop of tutorials, and against a bare loop over its own network.

The plain loop is a DataLoader of files (loader.py: PlainSamples, with foldseg's fast reading of masks), which augments
and normalises, over smp's U-Net in NCHW float32, with torch's cross-entropy and AdamW. Same images, crops, network,
augmentation and batch, weights from nothing. Validation and checkpoints are on neither side.

The bare loop has foldseg's network, loss and optimiser and batches that are ready: what is more in a step of foldseg's
is the cost of its trainer. As that does not depend on the crops' size, it is measured on small ones, in ms, too.

Every side is a process of its own (how memory is freed is a process's choice) and trains an epoch of a few batches when
it is its turn, on one thread and without workers: CPU time, median over turns of the ratio to the first side's. Read
the ratios; the times are this machine's. A floor that is not met is said, never an error.

    benchmarks/training.py                # on one CPU core, U-Net ResNet-18, crops of 256
    benchmarks/training.py --device gpu   # U-Net ResNet-34, crops of 512: wall time, memory, share of the peak
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import segmentation_models_pytorch as smp
import torch
from loader import PlainSamples
from pytorch_lightning.callbacks import Callback
from table import HEADER, Row, times_faster
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from foldseg import ending
from foldseg.config import Experiment, load_data, load_experiment
from foldseg.data.datasets import DataSet, get_label_set
from foldseg.data.fold_data import FoldData
from foldseg.data.folds_file import make_folds_file
from foldseg.data.labels import IGNORE_INDEX
from foldseg.data.mask_files import read_mask
from foldseg.losses import outputs_loss
from foldseg.models.factory import build_network
from foldseg.training.fit import arrange_network, build_trainer
from foldseg.training.memory import keep_freed_memory
from foldseg.training.module import FoldModule
from foldseg.training.optimizers import build_optimizer
from foldseg.training.stages import Loaders
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.train_samples import TrainBatch

CONFIGS = Path(__file__).parents[1] / "configs"
END_TO_END, OVERHEAD = 1.3, 1.03  # plain / foldseg, and foldseg / bare
SMALL = 32  # px, crops whose step is mostly overhead
PEAK = 989e12  # floating-point operations a second of an H100 in bf16, without sparsity

Turn = Callable[[], None]
Side = Callable[[Experiment, int, Turn], None]


def plain(experiment: Experiment, batches: int, turn: Turn, *, kept: bool = False, channels_last: bool = False) -> None:
    """Train as tutorials do; `kept`: with freed memory kept, as foldseg does."""
    if kept:
        keep_freed_memory()
    labels, device = get_label_set(experiment.data), _device(experiment)
    table = DataSet(experiment.data).folded.iloc[: batches * _size(experiment)]
    loader = DataLoader(
        PlainSamples(table, experiment, labels, read_mask),
        batch_size=_size(experiment),
        shuffle=True,
        drop_last=True,
        num_workers=experiment.workers,
        pin_memory=device.type == "cuda",
        persistent_workers=experiment.workers > 0,
    )
    model = smp.Unet(experiment.model.encoder, encoder_weights=None, classes=len(labels)).to(device).train()
    if channels_last:
        model.to(memory_format=torch.channels_last)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=IGNORE_INDEX)
    optimizer = torch.optim.AdamW(model.parameters(), experiment.optimizer.lr)
    while True:
        turn()
        for images, masks in loader:
            optimizer.zero_grad()
            loss = criterion(model(images.to(device)), masks.to(device))
            loss.backward()
            optimizer.step()
            loss.item()


def foldseg(experiment: Experiment, batches: int, turn: Turn) -> None:
    """Train as foldseg train does, without validation and checkpoints."""
    module, data = _module(experiment), DataSet(experiment.data)
    table = data.folded.iloc[: batches * _size(experiment)]
    fold_data, stride = FoldData(data, 0, table, table[:1]), module.network.stride
    samples = build_train_samples(experiment, fold_data, stride)
    loaders = Loaders(experiment, [samples], build_validation_samples(experiment, fold_data, stride))
    module.stage_steps = loaders.steps
    build_trainer(experiment, [_Turns(turn)]).fit(module, datamodule=loaders)


def trainer(experiment: Experiment, batches: int, turn: Turn) -> None:
    """foldseg's trainer over batches that are ready."""
    module = _module(experiment)
    loader: Any = DataLoader([_batch(experiment)] * batches, batch_size=None)  # type: ignore[arg-type]
    build_trainer(experiment, [_Turns(turn)]).fit(module, loader)


def bare(experiment: Experiment, batches: int, turn: Turn) -> None:
    """foldseg's network, loss and optimiser in the shortest loop."""
    keep_freed_memory()
    network = _module(experiment).network.train()
    optimizer = build_optimizer(experiment.optimizer, network)
    loader: Any = DataLoader([_batch(experiment)] * batches, batch_size=None)  # type: ignore[arg-type]
    while True:
        turn()
        for batch in loader:
            loss = outputs_loss(network.outputs(batch.images), batch.masks, experiment.loss)[0]
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


class _Turns(Callback):
    """Waits before every epoch for its turn."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._turn()


def _module(experiment: Experiment) -> FoldModule:
    labels = get_label_set(experiment.data)
    module = FoldModule(experiment, labels, build_network(experiment.model, len(labels), pretrained=False), None)
    arrange_network(module)
    return module


def _batch(experiment: Experiment) -> TrainBatch:
    assert experiment.view.train.window is not None
    count, (height, width) = _size(experiment), experiment.view.train.window
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8)
    masks = torch.randint(0, len(get_label_set(experiment.data)), (count, height, width), dtype=torch.uint8)
    return TrainBatch(images, masks, [])


def _size(experiment: Experiment) -> int:
    assert isinstance(experiment.batch_size, int)
    return experiment.batch_size


def _device(experiment: Experiment) -> torch.device:
    return torch.device("cuda" if experiment.device == "gpu" else "cpu")


def _work(side: Side, experiment: Experiment, batches: int, line: Connection) -> None:
    """Be the process of one side: send what each turn took, wait for the next."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    gpu = experiment.device == "gpu"
    since: list[tuple[float, float]] = []

    def clocks() -> tuple[float, float]:
        if gpu:
            torch.cuda.synchronize()
        return time.process_time(), time.perf_counter()

    def turn() -> None:
        now = clocks()
        if since:
            memory = torch.cuda.max_memory_allocated() if gpu else 0
            line.send((now[0] - since[-1][0], now[1] - since[-1][1], memory))
        line.recv()
        since.append(clocks())

    side(experiment, batches, turn)


Took = dict[str, list[tuple[float, float, int]]]
"""Side -> per turn, CPU s and wall s of a batch, and the most GPU memory so far in bytes."""


def in_turns(sides: dict[str, tuple[Side, Experiment]], batches: int, turns: int) -> Took:
    """Let the sides take turns; the first turn of each is not counted."""
    context, took = get_context("spawn"), {name: [] for name in sides}  # type: ignore[var-annotated]
    lines, processes = {}, []
    for name, (side, experiment) in sides.items():
        lines[name], theirs = context.Pipe()
        processes.append(context.Process(target=_work, args=(side, experiment, batches, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
    for _, (name, line) in itertools.product(range(turns + 1), lines.items()):
        line.send("go")
        cpu, wall, memory = line.recv()
        took[name].append((cpu / batches, wall / batches, memory))
    for process in processes:
        process.kill()
        process.join()
    return {name: turn[1:] for name, turn in took.items()}


def ratios(took: Took, instead: str, name: str, clock: int) -> list[float]:
    """Turn by turn, time of one side / time of the other."""
    return [a[clock] / b[clock] for a, b in zip(took[instead], took[name], strict=True)]


def rows(took: Took, clock: int, floors: dict[str, float]) -> Iterator[Row]:
    """Every side against the first, by the median of the ratios."""
    first, *rest = took
    for name in rest:
        seconds = statistics.median(turn[clock] for turn in took[name])
        ratio = statistics.median(ratios(took, first, name, clock))
        yield times_faster(f"step, {name}", ratio * seconds, seconds, floors.get(name))


def on_cpu(experiment: Callable[..., Experiment], batches: int, turns: int, cache: str) -> None:
    sides: dict[str, tuple[Side, Experiment]] = {
        "plain": (plain, experiment()),
        "plain, freed memory kept": (partial(plain, kept=True), experiment()),
        "plain, and channels last": (partial(plain, kept=True, channels_last=True), experiment()),
        "files": (foldseg, experiment()),
        "cache": (foldseg, experiment(f"cache={cache}")),
        "cache, bf16": (foldseg, experiment(f"cache={cache}", "precision=bf16")),
    }
    took = in_turns(sides, batches, turns)
    for row in rows(took, 0, {"cache": END_TO_END}):
        print(row)
    for name, part in took.items():
        cpu, wall = (statistics.median(turn[clock] for turn in part) for clock in (0, 1))
        size = _size(experiment())
        print(f"{name}: {size / cpu:.2f} images/s of CPU time, {size / wall:.2f} by the clock")

    whole = in_turns({"bare": (bare, experiment()), "trainer": (trainer, experiment())}, batches, turns)
    small = experiment(f"view.train.size=[{SMALL}, {SMALL}]")
    short = in_turns({"bare": (bare, small), "trainer": (trainer, small)}, 10 * batches, 2 * turns)
    more = statistics.median(b[0] - a[0] for a, b in zip(short["bare"], short["trainer"], strict=True))
    step = statistics.median(turn[0] for turn in whole["bare"])
    direct = statistics.median(ratios(whole, "trainer", "bare", 0))
    print(f"\ntrainer / bare loop: {direct:.3f} (floor: below {OVERHEAD:g})")
    print(f"of crops of {SMALL}: {1e3 * more:.1f} ms a step more, {100 * more / step:.2f}% of a step of {step:.2f} s")


def on_gpu(experiment: Callable[..., Experiment], batches: int, turns: int, cache: str) -> None:
    fast = experiment(f"cache={cache}", "precision=bf16", "compile=true")
    took = in_turns({"plain": (plain, experiment()), "cache, bf16, compiled": (foldseg, fast)}, batches, turns)
    for row in rows(took, 1, {}):
        print(row)
    network = _module(experiment("compile=false")).network
    with FlopCounterMode(display=False) as counter:
        network.outputs(_batch(fast).images).logits.sum().backward()
    for name, part in took.items():
        seconds = statistics.median(turn[1] for turn in part)
        share = counter.get_total_flops() / seconds / PEAK
        print(f"{name}: {_size(fast) / seconds:.1f} images/s, {part[-1][2] / 2**30:.2f} GiB, {share:.1%} of the peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--batches", type=int, default=4, help="of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="of each side (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes that load, on both sides")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, overrides = _data(Path(folder))
        encoder, size = ("resnet18", 256) if args.device == "cpu" else ("resnet34", 512)
        overrides += [
            f"model={{architecture: unet, encoder: {encoder}, encoder_weights: null}}",
            "model.options={encoder_depth: 5, decoder_channels: [256, 128, 64, 32, 16]}",  # smp's own
            f"view.train={{kind: crop, size: [{size}, {size}], scale: [0.8, 1.25]}}",
            "loss={cross_entropy: 1.0, lovasz: 0.0, class_weights: none}", "augment=light", "optimizer.lr=0.001",
            "schedule={kind: constant, epochs: 1000}", "validate_every=1000", "early_stopping=null",
            "precision=fp32", "clip_gradient_norm=null", "batch_size=8", f"workers={args.workers}",
            f"device={args.device}",
        ]  # fmt: skip

        def experiment(*more: str) -> Experiment:
            return load_experiment(path, [*overrides, *more])

        print(f"{args.batches} batches of {size}x{size} a turn, {args.turns} turns, {path.stem}\n\n{HEADER}")
        (on_cpu if args.device == "cpu" else on_gpu)(experiment, args.batches, args.turns, folder)


def _data(folder: Path) -> tuple[Path, list[str]]:
    """Return an experiment on CamVid if it is there, on a toy city otherwise, and overrides of its data."""
    if Path("data/camvid").is_dir():
        return CONFIGS / "experiments/camvid_crop.yaml", []
    path, data = (
        CONFIGS / "experiments/toy_crop.yaml",
        [f"data.root={folder / 'city'}", f"data.folds={folder / 'f.csv'}"],
    )
    make_folds_file(load_data(path, data))
    return path, data


if __name__ == "__main__":
    ending.log_to_terminal()
    main()

#!/usr/bin/env python3
"""Measure prediction against what a user would pick instead. Prints a markdown table.

    pip install --no-deps --target FOLDER monai ttach
    PYTHONPATH=FOLDER python benchmarks/inference.py [part ...] [--run runs/<experiment>/fold_<k>]

Contenders are first checked to give the same result, then timed in turns in this one process: CPU time of one thread,
the best of the turns. Read the ratios; the times are this machine's. A floor that is not met is said, never an error,
and so is what could not be measured.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from label_maps import HEIGHT, WIDTH, load_maps
from predecessor import SIDE, vote_per_offset
from table import HEADER, Row, check, duration, times_faster
from torch import Tensor

from foldseg.config.schema import FullView, Model, TilesView, Tta
from foldseg.data.datasets import DataSet
from foldseg.data.reading import read_image
from foldseg.inference.enlargement import Enlargement
from foldseg.inference.quantise import quantise
from foldseg.inference.run_stores import Predictor, select_split
from foldseg.inference.store import PredictionStore
from foldseg.models.factory import build_network
from foldseg.models.folding import fold_batch_norms
from foldseg.runs.run_folder import RunFolder
from foldseg.views.eval_samples import eval_sample

CLASSES = 5
COLOURS = np.array([[250, 5, 5], [5, 250, 5], [5, 5, 250], [250, 250, 5], [5, 250, 250]], np.uint8)
MODEL = Model(architecture="unet", encoder="resnet18", encoder_weights=None)
TILES = {"kind": "tiles", "size": [SIDE, SIDE], "stride": [SIDE // 2, SIDE // 2]}
TURNS = 2
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def not_measured(work: str, why: str, floor: str) -> Row:
    return Row(work, f"not measured: {why}", "", "", floor)


def in_turns(*works: Callable[[], Any], turns: int = TURNS) -> list[float]:
    """CPU time in s of one call of each of `works`, taking turns: the best turn, the least disturbed one."""

    def cpu_s(work: Callable[[], Any]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return [min(times) for times in zip(*[[cpu_s(work) for work in works] for _ in range(turns)], strict=True)]


def picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth random picture: networks do not care what they see."""
    small = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def networks() -> tuple[torch.nn.Module, torch.nn.Module]:
    """A network as foldseg builds it, and the same as smp builds it, to be fed with normalised images."""
    torch.manual_seed(0)
    ours = build_network(MODEL, CLASSES).eval()
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES).eval()
    theirs.load_state_dict(ours.net.state_dict())
    return ours, theirs


def normalised(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32, as most programs do it."""
    return (torch.from_numpy(image).permute(2, 0, 1)[None].float().div_(255) - MEAN).div_(STD).contiguous()


class OneColour(torch.nn.Module):
    """A network that sees one pixel: it knows five classes by their colours."""

    stride = 32

    def forward(self, images: Tensor) -> Tensor:
        colours = torch.from_numpy(COLOURS).float().view(len(COLOURS), 3, 1, 1)
        return -torch.stack([(images.float() - colour).square().mean(1) for colour in colours], 1) / 100


def predictor(network: torch.nn.Module, view: dict[str, Any] | None = None) -> Predictor:
    """A predictor as a run's would be on the CPU."""
    network = network if isinstance(network, OneColour) else fold_batch_norms(network)  # type: ignore[arg-type]
    network.to(memory_format=torch.channels_last)
    shown = FullView(kind="full") if view is None else TilesView.model_validate(view)
    return Predictor(network, shown, torch.device("cpu"), None, torch.channels_last)  # type: ignore[arg-type]


def monai_windows(network: torch.nn.Module, image: np.ndarray, together: int, weights: str = "gaussian") -> Tensor:
    """Probabilities (classes, H, W) by MONAI's sliding window, at half overlap."""
    from monai.inferers import SlidingWindowInferer

    infer = SlidingWindowInferer((SIDE, SIDE), together, overlap=0.5, mode=weights)
    inputs = image_of(image) if isinstance(network, OneColour) else normalised(image)
    with torch.inference_mode():
        return infer(inputs, lambda images: network(images).softmax(1))[0]


def image_of(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def vote_windows(network: torch.nn.Module, image: np.ndarray, *, wide: bool = True) -> np.ndarray:
    """Labels (H, W) by the predecessor's loop."""

    def classify(window: np.ndarray) -> np.ndarray:
        inputs = image_of(window) if isinstance(network, OneColour) else normalised(window)
        with torch.inference_mode():
            return network(inputs).argmax(1)[0].numpy().astype(np.uint8)

    return vote_per_offset(image, classify, CLASSES, wide=wide)


def check_windows(maps: np.ndarray) -> None:
    """All ways to predict in windows give back a picture in five colours."""
    shown = COLOURS[maps]
    means = predictor(OneColour(), {**TILES, "weights": "gaussian"}).image(shown)
    check(np.array_equal(means.argmax(0).numpy(), maps), "tiles")
    check(np.array_equal(predictor(OneColour(), {**TILES, "merge": "vote"}).image(shown).argmax(0), maps), "votes")
    for wide in (True, False):
        check(np.array_equal(vote_windows(OneColour(), shown, wide=wide), maps), "the predecessor's loop")


def windows(_: argparse.Namespace) -> Iterator[Row]:
    """Sliding windows of 512 at half overlap over 1216x1936, from the picture to its probabilities."""
    check_windows(np.random.default_rng(0).integers(0, CLASSES, (HEIGHT, WIDTH), dtype=np.uint8))
    ours, theirs = networks()
    last = torch.nn.Sequential(networks()[1]).to(memory_format=torch.channels_last)
    image, tiles = picture(), predictor(ours, {**TILES, "weights": "gaussian"})
    work = "sliding windows, 28 of 512, against MONAI"
    try:
        expected = monai_windows(theirs, image, 4)
    except ImportError:
        yield not_measured(work, "monai is not installed", "1.3x")
    else:
        check(torch.allclose(tiles.image(image), expected, atol=1e-4), "MONAI")
        own, one, four, channels = in_turns(
            lambda: tiles.image(image),
            lambda: monai_windows(theirs, image, 1),
            lambda: monai_windows(theirs, image, 4),
            lambda: monai_windows(last, image, 1),
        )
        yield times_faster(f"{work} (the better of one and four at a time)", min(one, four), own, 1.3)
        yield times_faster("... its network in channels_last, too", channels, own)
        yield from window_overhead(image)
    votes = predictor(ours, {**TILES, "merge": "vote"})
    (own,) = in_turns(lambda: votes.image(image))
    loops = [in_turns(partial(vote_windows, theirs, image, wide=wide), turns=1)[0] for wide in (True, False)]
    yield times_faster("votes, against one map per offset, window by window (132 windows)", loops[0], own, 6)
    yield times_faster("... if it left out windows without a pixel of the picture (74)", loops[1], own)


def window_overhead(image: np.ndarray) -> Iterator[Row]:
    """What cutting, weighing and adding windows costs by itself: the network gives the picture's channels."""

    class Nothing(OneColour):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([images, images[:, :2]], 1).float()

    nothing = Nothing()
    own, other = in_turns(
        lambda: predictor(nothing, {**TILES, "weights": "gaussian"}).image(image),
        lambda: monai_windows(nothing, image, 4),
        turns=5,
    )
    yield times_faster("... without a network", other, own)


def turns(_: argparse.Namespace) -> Iterator[Row]:
    """The eight symmetries of a picture of 608x960."""
    work = "D4 TTA of 608x960, against ttach"
    try:
        import ttach
    except ImportError:
        yield not_measured(work, "ttach is not installed", "1.2x")
        return
    ours, theirs = networks()
    image, d4, full = picture(608, 960), Tta(symmetries="d4"), predictor(ours)

    def wrapped(network: torch.nn.Module) -> Callable[[], Tensor]:
        model = torch.nn.Sequential(network, torch.nn.Softmax(1))
        views = ttach.SegmentationTTAWrapper(model, ttach.aliases.d4_transform(), merge_mode="mean")
        return torch.inference_mode()(lambda: views(normalised(image))[0])

    plain, last = wrapped(theirs), wrapped(networks()[1].to(memory_format=torch.channels_last))
    check(torch.allclose(full.image(image, d4), plain(), atol=1e-4), "ttach")
    own, other, channels = in_turns(lambda: full.image(image, d4), plain, last)
    yield times_faster(work, other, own, 1.2)
    yield times_faster("... its network in channels_last, too", channels, own)


def stores(args: argparse.Namespace) -> Iterator[Row]:
    """Probabilities of five classes at 1936x1216: a file each, quantised, against compressed float16."""
    yield from store_rows("synthetic", [sharp(mask) for mask in load_maps(args.data, 3)[0].prediction])
    if args.run is None:
        yield not_measured("store, predictions of a network", "no --run was given", "")
    else:
        yield from store_rows(f"{args.run.parent.name}'s", list(predicted(args.run)))
    small = np.random.default_rng(0).normal(0, 2, (CLASSES, HEIGHT // 4, WIDTH // 4 + 4)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), 4) for plane in 20 * small]).astype(np.float16)
    how = Enlargement((HEIGHT, WIDTH + 16), (HEIGHT, WIDTH), True)
    with TemporaryDirectory() as folder:
        store = PredictionStore(Path(folder))
        written, read = in_turns(lambda: store.write_logits("a", smooth, how), lambda: store.read("a"), turns=5)
        size = (store.path / "a.prob").stat().st_size / 1e6
    told = f"{size:.2f} MB, {duration(written)}, {duration(read)}"
    yield Row("logits of stride 4, synthetic: size, written, read", "", told, "")


def sharp(mask: np.ndarray) -> np.ndarray:
    """(5, H, W) float32 like a good network's: soft at edges, and nowhere quite certain."""
    merged = mask % CLASSES
    noise = np.random.default_rng(0).normal(0, 0.3, (CLASSES, HEIGHT // 4, WIDTH // 4)).astype(np.float32)
    soft = np.stack([cv2.GaussianBlur((merged == index).astype(np.float32), (0, 0), 4) for index in range(CLASSES)])
    enlarged = np.stack([cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for plane in noise])
    return torch.from_numpy(12 * soft + enlarged).softmax(0).numpy()


def predicted(path: Path, images: int = 3) -> Iterator[np.ndarray]:
    """(5, H, W) float32 of a run's OOF images, enlarged; the four classes with most pixels, and the rest."""
    run = RunFolder(path)
    network = Predictor.load(run, "cpu", FullView(kind="full"))
    data = DataSet(run.experiment.data)
    table = select_split(run, "oof", data)
    for index in np.linspace(0, len(table) - 1, images).astype(int):
        image = read_image(data.root / table["image"].iloc[index], data.pictures)
        maps = network.image(image)
        order = maps.mean((1, 2)).argsort(descending=True).tolist()
        five = torch.cat([maps[order[:4]], maps[order[4:]].sum(0, keepdim=True)])
        yield torch.nn.functional.interpolate(five[None], (HEIGHT, WIDTH), mode="bilinear")[0].numpy()


def store_rows(whose: str, maps: list[np.ndarray]) -> Iterator[Row]:
    """Size, time to write (quantising included), time to read, and pixels whose class changes."""

    def compressed(planes: np.ndarray, folder: str) -> None:
        np.savez_compressed(Path(folder) / "a.npz", planes.astype(np.float16))

    found = []
    with TemporaryDirectory() as folder:
        store, npz = PredictionStore(Path(folder)), Path(folder) / "a.npz"
        for planes in maps:
            times = in_turns(
                lambda planes=planes: compressed(planes, folder),
                lambda planes=planes: store.write("a", quantise(torch.from_numpy(planes)).numpy()),
                lambda: store.read("a"),
            )
            changed = float((store.read("a").argmax(0) != planes.argmax(0)).mean())
            found.append([*times, npz.stat().st_size, (store.path / "a.prob").stat().st_size, changed])
    theirs, ours, read, large, small, changed = np.mean(found, 0)
    what = f"store, {whose} predictions"
    megabytes = f"{large / 1e6:.2f} MB", f"{small / 1e6:.2f} MB"
    yield Row(f"{what}: size", *megabytes, f"{large / small:.0f}x", "10x, 1 MB", large >= 10 * small and small <= 1e6)
    yield times_faster("... written", theirs, ours, 10)
    yield Row("... read", "", duration(read), "")
    yield Row("... pixels whose most probable class changes", "", f"{changed:.1e}", "", "< 1e-4", changed < 1e-4)


def ensemble(_: argparse.Namespace) -> Iterator[Row]:
    """Images/s of five folds with flip TTA on a GPU."""
    work = "5 folds, flip TTA, 1216x1936, bf16 in channels_last, 4 images together, against float32 NCHW one by one"
    if not torch.cuda.is_available():
        yield not_measured(work, "there is no GPU", "4x")
        return
    theirs, ours = (fold_rates(torch.device("cuda"), picture(), fast=fast) for fast in (False, True))
    yield Row(work, f"{theirs:.1f} images/s", f"{ours:.1f} images/s", f"{ours / theirs:.1f}x", "4x", ours >= 4 * theirs)


def fold_rates(device: torch.device, image: np.ndarray, *, fast: bool, images: int = 8, folds: int = 5) -> float:
    """Images/s from pictures in memory to the mean of `folds` networks' planes in memory."""
    memory = torch.channels_last if fast else torch.contiguous_format
    together, half = (4, torch.bfloat16) if fast else (1, None)
    view, tta = FullView(kind="full"), Tta(symmetries="flip")
    models = [build_network(MODEL, CLASSES).eval() for _ in range(folds)]
    models = [(fold_batch_norms(model) if fast else model).to(memory_format=memory).to(device) for model in models]
    predictors = [Predictor(model, view, device, half, memory) for model in models]
    samples = [eval_sample(str(number), image, None, view, 32) for number in range(together)]

    def predict(number: int) -> None:
        for _ in range(0, number, together):
            maps = torch.stack([one.batch(samples, tta) for one in predictors]).mean(0)
            quantise(maps).cpu()

    predict(together)  # warm up
    start = time.monotonic()
    predict(images)
    return images / (time.monotonic() - start)


PARTS = {"windows": windows, "turns": turns, "stores": stores, "ensemble": ensemble}
"""Each takes the arguments and yields rows of the table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--run", type=Path, help="a run whose predictions are stored, too")
    parser.add_argument("--data", type=Path, default=Path("data/camvid"), help="CamVid's folder (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(HEADER)
    for part in args.parts or PARTS:
        for row in PARTS[part](args):
            print(row, flush=True)


if __name__ == "__main__":
    main()

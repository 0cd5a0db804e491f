#!/usr/bin/env python3
"""Measure foldseg at the AI Edge contest's size against plain versions of what its predecessors did (predecessor.py).

Prints a markdown table. Every pair is checked to give the same result, then timed in turns in this one process: CPU
time, both sides single-threaded, best of the turns. Read the ratios; the times are this machine's. A floor that is
not met is said, never an error.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from label_maps import HEIGHT, WIDTH, Maps, load_maps
from predecessor import compare_colours, histogram_confusion, segment_again, walk_pixels, walk_score
from table import HEADER, Row, check, duration, times_faster

from foldseg.data.colour_codes import find_raw_ids
from foldseg.data.labels import LabelSet
from foldseg.data.signate import LABELS
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.steps.thresholds import count_at_thresholds, find_best_thresholds
from foldseg.inference.map_file import quantise_array
from foldseg.inference.store import PredictionStore
from foldseg.scoring.counts import Counts, confusion_matrix, count_pixels, count_rles
from foldseg.scoring.scores import image_scores
from foldseg.submission import signate_json
from foldseg.submission.formats import check_submission

TEST_IMAGES = 649  # of the contest
FITTED_IMAGES = 300
TURNS = 3
CATEGORIES = {c.name: index for index, c in enumerate(LABELS.classes) if c.scored}


def cpu_s(work: Callable[[], Any]) -> float:
    """CPU time of one call in s: the mean over as many calls as fill 50 ms."""
    start, calls = time.process_time(), 0
    while (passed := time.process_time() - start) < 0.05 or not calls:
        work()
        calls += 1
    return passed / calls


def in_turns(over: list[Any], *works: Callable[[Any], Any]) -> list[float]:
    """CPU time in s per item of `over` for each of `works`, taking turns: the best turn, the least disturbed one."""
    turns = [[np.mean([cpu_s(partial(work, item)) for item in over]) for work in works] for _ in range(TURNS)]
    return [min(times) for times in zip(*turns, strict=True)]


def encode(maps: Maps) -> Iterator[Row]:
    """Submission JSON from a label map."""
    for kind, masks, floor in (("", maps.truth, 120), (", 10% speckled", maps.speckled().truth, None)):
        for mask in masks:
            check(walk_pixels(mask, CATEGORIES).encode() == signate_json.encode_image(mask, LABELS), "encode")
        walked, listed, ours = in_turns(
            masks,
            lambda mask: walk_pixels(mask, CATEGORIES),
            lambda mask: walk_pixels(mask, CATEGORIES, listed=True),
            lambda mask: signate_json.encode_image(mask, LABELS),
        )
        yield times_faster(f"JSON from a label map{kind}", walked, ours, floor)
        yield times_faster("... the baseline on lists", listed, ours)


def write_and_check(maps: Maps) -> Iterator[Row]:
    """A whole submission, written and read back."""
    names = [f"test_{number:03d}" for number in range(TEST_IMAGES)]
    masks = maps.truth + maps.prediction
    with TemporaryDirectory() as folder:
        path = Path(folder) / signate_json.FORMAT.file_name
        start = time.process_time()
        signate_json.write(path, ((name, masks[i % len(masks)]) for i, name in enumerate(names)), LABELS)
        check_submission(path, dict.fromkeys(names, (HEIGHT, WIDTH)), LABELS)
        seconds = time.process_time() - start
    yield Row(f"{TEST_IMAGES} images written and validated", "", f"{seconds:.1f} s", "", "< 30 s", seconds < 30)


def score(maps: Maps) -> Iterator[Row]:
    """The contest's score of an image."""

    def ours(truth: np.ndarray, prediction: np.ndarray) -> float:
        return float(image_scores(count_pixels(truth, prediction, len(LABELS))[None], LABELS)[0])

    for kind, part, floor in (("", maps, 5), (", 10% speckled", maps.speckled(), 400)):
        cases = []
        for pair in zip(part.truth, part.prediction, strict=True):
            files = [b'{"a.jpg":' + signate_json.encode_image(mask, LABELS) + b"}" for mask in pair]
            cases.append((pair, files, [json.loads(file) for file in files]))
            check(abs(walk_score(*cases[-1][2]) - ours(*pair)) <= 1e-12, "score")
        walked, read, counted, filed = in_turns(
            cases,
            lambda case: walk_score(*case[2]),
            lambda case: [json.loads(file) for file in case[1]],
            lambda case: ours(*case[0]),
            lambda case: count_files(case[1]),
        )
        yield times_faster(f"score from label maps{kind}", walked, counted, floor)
        yield times_faster("... from two files, read by both", walked + read, filed)


def count_files(files: list[bytes]) -> Counts:
    """Counts of an image from two submission files, which are written first, since ours reads files."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("truth.json", "prediction.json")]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        truth, prediction = (signate_json.Submission(path, LABELS).read("a", None) for path in paths)
        return count_rles(truth, prediction)


def colours(maps: Maps) -> Iterator[Row]:
    """Ids from RGB masks of 20 colours, where an unknown colour (one pixel) must be refused by name."""
    pictures = [LABELS.colourise(mask) for mask in maps.truth]
    odd = [picture.copy() for picture in pictures]
    for picture in odd:
        picture[HEIGHT // 2, WIDTH // 2] = 1, 2, 3

    def ours(picture: np.ndarray) -> np.ndarray | str:
        try:
            return find_raw_ids(picture, LABELS.raw_colours)
        except ValueError as error:
            return str(error)

    for picture, mask in zip(pictures, maps.truth, strict=True):
        check(np.array_equal(compare_colours(picture, LABELS.colours), ours(picture)), "colours")
        check(np.array_equal(ours(picture), mask), "colours")
    check(all("(1, 2, 3)" in ours(picture) for picture in odd), "an unknown colour")
    for work, over, floor in (("RGB mask of 20 colours to ids", pictures, 120), ("... one colour unknown", odd, None)):
        compared, looked_up = in_turns(over, lambda picture: compare_colours(picture, LABELS.colours), ours)
        yield times_faster(work, compared, looked_up, floor)


def confusion(maps: Maps) -> Iterator[Row]:
    """20-class confusion of label maps, and of 20 maps of probabilities."""
    classes = len(LABELS)
    for kind, part, floor in (("", maps, 20), (", 10% speckled", maps.speckled(), None)):
        pairs = list(zip(part.truth, part.prediction, strict=True))
        for pair in pairs:
            check(np.array_equal(histogram_confusion(*pair, classes), confusion_matrix(*pair, classes)), "confusion")
        histogram, ours = in_turns(
            pairs, lambda pair: histogram_confusion(*pair, classes), lambda pair: confusion_matrix(*pair, classes)
        )
        yield times_faster(f"20-class confusion{kind}", histogram, ours, floor)

    truth, soft = maps.truth[0], _soft(maps.prediction[0])
    check(np.array_equal(soft.argmax(0), argmax(soft)), "argmax")
    plain, ours = in_turns(
        [soft], lambda soft: soft.argmax(0), lambda soft: confusion_matrix(truth, argmax(soft), classes)
    )
    share = ours / plain
    work = "argmax of 20 float maps and confusion; baseline: numpy's argmax alone"
    yield Row(work, duration(plain), duration(ours), f"{share:.0%} of it", "< 30%", share < 0.3)


def _soft(mask: np.ndarray) -> np.ndarray:
    """(20, H, W) float32 in 0..1, like a network's: soft at the edges, and nowhere quite certain."""
    noise = np.random.default_rng(0).random((len(LABELS), *mask.shape), np.float32)
    smooth = [cv2.GaussianBlur((mask == index).astype(np.float32), (0, 0), 6) for index in range(len(LABELS))]
    return 0.98 * np.stack(smooth) + np.float32(0.02) * noise


def thresholds(maps: Maps) -> Iterator[Row]:
    """All 255 thresholds of the 4 categories, from the store; the baseline segments an image for each of them."""
    labels = LABELS.select("scored")
    pairs = [
        (merged(truth, labels), _stored(mask, labels)) for truth, mask in zip(maps.truth, maps.prediction, strict=True)
    ]
    with TemporaryDirectory() as folder:
        store = PredictionStore(Path(folder))
        for number, (_, soft) in enumerate(pairs):
            store.write(str(number), soft)
        for truth, soft in pairs:
            check(
                np.array_equal(
                    segment_again(truth, soft, 255), count_at_thresholds(truth, soft, labels, "overlapping")
                ),
                "count_at_thresholds",
            )
        again, ours = in_turns(
            list(range(len(pairs))),
            lambda number: segment_again(pairs[number][0], store.read(str(number)), 8),
            lambda number: count_at_thresholds(pairs[number][0], store.read(str(number)), labels, "overlapping"),
        )
        yield times_faster("255 thresholds x 4 categories of an image, from the store", again * 255 / 8, ours)
        tracemalloc.start()
        start = time.process_time()
        images = np.empty((FITTED_IMAGES, 4, 256, 3), np.int32)
        for number in range(FITTED_IMAGES):
            truth = pairs[number % len(pairs)][0]
            images[number] = count_at_thresholds(truth, store.read(str(number % len(pairs))), labels, "overlapping")
        find_best_thresholds("image_mean_iou_present", images, labels)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    found = f"{seconds:.1f} s, {peak / 2**20:.0f} MiB"
    met = seconds < 20 and peak < 2**30
    yield Row(f"thresholds fitted on {FITTED_IMAGES} images", "", found, "", "< 20 s, 1 GiB", met)


def merged(mask: np.ndarray, labels: LabelSet) -> np.ndarray:
    """20 classes -> the scored ones and background."""
    return LABELS.class_indices_in(labels).astype(np.uint8)[mask]


def _stored(mask: np.ndarray, labels: LabelSet) -> np.ndarray:
    """(5, H, W) uint8 probabilities, soft at the edges."""
    small = merged(mask, labels)
    smooth = [cv2.GaussianBlur((small == index).astype(np.float32), (0, 0), 6) for index in range(len(labels))]
    return quantise_array(np.stack(smooth))


MEASURES = (encode, write_and_check, score, colours, confusion, thresholds)
"""Each takes the maps and yields rows of the table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3, help="frames that are measured (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/camvid"), help="CamVid's folder (default: %(default)s)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    maps, source = load_maps(args.data, args.images)
    print(f"{args.images} frames of {WIDTH}x{HEIGHT}: {source}.")
    print(f"CPU time per image, one thread, best of {TURNS} turns.\n")
    print(HEADER)
    for measure in MEASURES:
        for row in measure(maps):
            print(row, flush=True)


if __name__ == "__main__":
    main()

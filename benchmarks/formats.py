#!/usr/bin/env python3
"""Measure run lengths of masks against the snippets that circulate among competitors, and against pycocotools.

Prints a markdown table. Every pair is checked to give the same result, then timed in turns in this one process: CPU
time of one thread, best of the turns. Read the ratios; the times are this machine's. A floor that is not met is said,
never an error. pycocotools is needed: pip install 'foldseg[coco]'.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco
from table import HEADER, Row, check, times_faster

from foldseg.data.rle_text import (
    RleDialect,
    decode_coco_text,
    decode_text,
    encode_coco_text,
    encode_text,
)

SIZE = (1400, 2100)
"""Height and width, as in Understanding Clouds."""
TURNS = 5
RELATIVE = RleDialect(base=0, relative=True)


def encode_by_numpy(mask: np.ndarray) -> str:
    """Return runs down the columns. It is the `rle_encode` or `mask2rle` of most notebooks, as it circulates."""
    pixels = mask.T.flatten()
    pixels = np.concatenate([[0], pixels, [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def encode_by_pixel(mask: np.ndarray) -> str:
    """Return the same by a loop over the pixels of the mask, the other encoder of many notebooks."""
    dots = np.where(mask.T.flatten() == 1)[0]
    run_lengths: list[int] = []
    prev = -2
    for b in dots:
        if b > prev + 1:
            run_lengths.extend((b + 1, 0))
        run_lengths[-1] += 1
        prev = b
    return " ".join(str(x) for x in run_lengths)


def decode_by_numpy(text: str) -> np.ndarray:
    """Return a mask of runs down the columns: the `rle_decode` or `rle2mask` of most notebooks.

    It is a view of the transposed mask.
    """
    s = text.split()
    starts, lengths = (np.asarray(x, dtype=int) for x in (s[0:][::2], s[1:][::2]))
    starts -= 1
    ends = starts + lengths
    image = np.zeros(SIZE[0] * SIZE[1], dtype=np.uint8)
    for low, high in zip(starts, ends, strict=True):
        image[low:high] = 1
    return image.reshape(SIZE[::-1]).T


def decode_relative(text: str) -> np.ndarray:
    """Return a mask of relative runs, as the snippet of SIIM does. It is a view of the transposed mask, float64."""
    mask = np.zeros(SIZE[0] * SIZE[1])
    array = np.asarray([int(x) for x in text.split()])
    starts, lengths = array[0::2], array[1::2]
    current_position = 0
    for index, start in enumerate(starts):
        current_position += start
        mask[current_position : current_position + lengths[index]] = 255
        current_position += lengths[index]
    return mask.reshape(SIZE[::-1]).T


def draw_masks(number: int, blobs: int, speckled: float = 0.0) -> list[np.ndarray]:
    """Return masks (H, W) uint8 of some ellipses with ragged borders; `speckled`: share of flipped pixels."""
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(number):
        mask = np.zeros(SIZE, np.uint8)
        for _ in range(blobs):
            centre = int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0]))
            axes = int(rng.integers(50, 500)), int(rng.integers(50, 400))
            cv2.ellipse(mask, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
        if speckled:
            mask ^= (rng.random(SIZE) < speckled).astype(np.uint8)
        masks.append(mask)
    return masks


def cpu_s(work: Callable[[Any], Any], over: list[Any]) -> float:
    """Return the CPU time of one call in s, the mean over items."""
    start = time.process_time()
    for item in over:
        work(item)
    return (time.process_time() - start) / len(over)


def in_turns(*works: tuple[Callable[[Any], Any], list[Any]]) -> list[float]:
    """Return the CPU time in s per item of each of `works`, taking turns: the best turn, the least disturbed one."""
    turns = [[cpu_s(work, over) for work, over in works] for _ in range(TURNS)]
    return [min(times) for times in zip(*turns, strict=True)]


def encode(masks: list[np.ndarray], kind: str, floor: float | None) -> Iterator[Row]:
    """Text from a mask."""
    planes = [mask.view(bool) for mask in masks]
    few = masks[:2]
    for mask in few:
        check(encode_by_numpy(mask) == encode_by_pixel(mask) == encode_text(mask.view(bool)), "encode")
    by_numpy, by_pixel, ours = in_turns((encode_by_numpy, masks), (encode_by_pixel, few), (encode_text, planes))
    yield times_faster(f"text from a mask{kind}: numpy", by_numpy, ours, floor)
    yield times_faster(f"text from a mask{kind}: loop over pixels", by_pixel, ours)


def decode(masks: list[np.ndarray], kind: str, floor: float | None) -> Iterator[Row]:
    """A mask from text."""
    texts = [encode_text(mask.view(bool)) for mask in masks]
    relative = [encode_text(mask.view(bool), RELATIVE) for mask in masks]
    for text, other, mask in zip(texts, relative, masks, strict=True):
        check(np.array_equal(decode_by_numpy(text), mask), "decode")
        check(np.array_equal(decode_relative(other) > 0, decode_text(other, SIZE, RELATIVE)), "decode relative")
        check(np.array_equal(decode_text(text, SIZE), mask), "decode")
    view, whole, of_siim, ours, ours_relative = in_turns(
        (decode_by_numpy, texts),
        (lambda text: np.ascontiguousarray(decode_by_numpy(text)), texts),
        (decode_relative, relative),
        (lambda text: decode_text(text, SIZE), texts),
        (lambda text: decode_text(text, SIZE, RELATIVE), relative),
    )
    yield times_faster(f"mask from text{kind}: loop over runs, a transposed view", view, ours, floor)
    yield times_faster(f"mask from text{kind}: loop over runs, row after row in memory", whole, ours)
    yield times_faster(f"mask from relative text{kind}: SIIM's loop", of_siim, ours_relative)


def against_coco(masks: list[np.ndarray], kind: str) -> Iterator[Row]:
    """COCO's compressed text, both ways. pycocotools takes and gives masks column after column in memory."""
    planes = [mask.view(bool) for mask in masks]
    by_column = [np.asfortranarray(mask) for mask in masks]
    encoded = [coco.encode(mask) for mask in by_column]
    texts = [one["counts"].decode() for one in encoded]
    for mask, text in zip(planes, texts, strict=True):
        check(encode_coco_text(mask) == text, "COCO text")
        check(np.array_equal(decode_coco_text(text, SIZE), mask), "COCO mask")
    prepared, whole, ours = in_turns(
        (coco.encode, by_column), (lambda mask: coco.encode(np.asfortranarray(mask)), masks), (encode_coco_text, planes)
    )
    yield times_faster(f"COCO text from a mask{kind}: pycocotools, columns in memory", prepared, ours)
    yield times_faster(f"COCO text from a mask{kind}: pycocotools, rows in memory", whole, ours, 1)
    view, whole, ours = in_turns(
        (coco.decode, encoded),
        (lambda one: np.ascontiguousarray(coco.decode(one)), encoded),
        (lambda text: decode_coco_text(text, SIZE), texts),
    )
    yield times_faster(f"mask from COCO text{kind}: pycocotools, columns in memory", view, ours, 1)
    yield times_faster(f"mask from COCO text{kind}: pycocotools, rows in memory", whole, ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=20, help="masks of each kind (default: %(default)s)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    kinds = {
        "": (draw_masks(args.masks, 4), 20.0),
        ", 0.5% speckled": (draw_masks(max(args.masks // 4, 1), 4, 0.005), None),
    }
    print(f"Masks of {SIZE[0]}x{SIZE[1]}; CPU time per mask, one thread, best of {TURNS} turns.\n")
    for kind, (masks, _) in kinds.items():
        runs = np.mean([len(encode_text(mask.view(bool)).split()) // 2 for mask in masks])
        print(f"{len(masks)} masks{kind}: {runs:.0f} runs each.")
    print()
    print(HEADER)
    for kind, (masks, floor) in kinds.items():
        for rows in (encode(masks, kind, floor), decode(masks, kind, floor), against_coco(masks, kind)):
            for row in rows:
                print(row, flush=True)


if __name__ == "__main__":
    main()

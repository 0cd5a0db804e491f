"""Draws masks that no file holds: from run lengths, or from a file for each class or object.

They are drawn once, as PNGs of the size of their images, and then read like any other mask:

    <drawn_masks>/<fingerprint of the settings>/drawn.json    id -> hash of what its mask was drawn from
                                                <id>.png      ids; class bits if classes overlap

A mask is drawn again if what it was drawn from has changed. A process that is killed leaves no half of a PNG. Masks
that it has not yet written down in drawn.json are drawn again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.config.schema.own_data import OwnData, RunLengths
from foldseg.data.hashes import hash_files
from foldseg.data.labels import LabelSet, RawIds
from foldseg.data.mask_files import fit_size, read_plane
from foldseg.data.reading import read_image_size
from foldseg.data.rle_text import (
    RleDialect,
    decode_coco_counts,
    decode_coco_text,
    decode_text,
    is_empty_text,
)
from foldseg.errors import FoldsegError, raise_if_any
from foldseg.files import locked, read_record, write_bytes, write_json
from foldseg.notices import say_once

_FORMAT = 1
"""Part of the fingerprint. Raise it when the same data is drawn in another way."""
_RECORD = "drawn.json"
_USUAL = RunLengths()


@dataclass(frozen=True)
class MaskPart:
    """A part of a mask: the pixels of one class, in a file or as run lengths."""

    class_index: int
    source: Path | str
    """A file that is black where the class is not, or run lengths."""
    place: str
    """Where it comes from, for messages: a file, or a file and the row in it."""


@dataclass(frozen=True)
class MaskParts:
    """Everything that the mask of one image is drawn from, in the order in which it is drawn."""

    id: str
    image: Path
    parts: tuple[MaskPart, ...]


def draw_masks(
    images: Sequence[MaskParts],
    settings: OwnData,
    labels: LabelSet,
    root: Path,
    pictures: Pictures,
    run_lengths: RunLengths = _USUAL,
) -> dict[str, Path]:
    """Return the mask file of each image by id. Those that are missing, or whose parts have changed, are drawn.

    `labels`: all classes of the data set. If they are exclusive, a later part is drawn over an earlier one, which is
    said. `run_lengths`: how run lengths are written.

    FoldsegError names every part that is damaged, and every image whose size does not fit.
    """
    if not images:
        return {}
    folder = get_drawn_folder(settings, root) / _fingerprint(labels, run_lengths, pictures)
    hashes = _hash_parts(images)
    missing = _list_missing(images, hashes, folder)
    if missing:
        try:
            with locked(folder / _RECORD, wait=True):
                missing = _list_missing(images, hashes, folder)  # another process may have drawn them
                _draw_all(missing, partial(_draw, labels, run_lengths, pictures), folder)
                write_json(folder / _RECORD, _read_record(folder) | {item.id: hashes[item.id] for item in missing})
        except OSError as error:
            raise FoldsegError(
                f"{folder}: masks could not be drawn there: {error.strerror or error}; choose another folder by "
                "data.dataset.drawn_masks"
            ) from error
    return {item.id: folder / f"{item.id}.png" for item in images}


def get_drawn_folder(settings: OwnData, root: Path) -> Path:
    """Return the folder for masks that are drawn."""
    return settings.drawn_masks or root / "drawn_masks"


def make_dialect(settings: RunLengths) -> RleDialect:
    """Return the dialect of settings of run lengths."""
    return RleDialect(settings.direction == "rows", settings.base, settings.relative)


def decode_runs(text: str, size: tuple[int, int], settings: RunLengths) -> NDArray[np.bool_]:
    """Return the mask (H, W) bool of run lengths. ValueError if they are no valid ones for this size."""
    if is_empty_text(text):
        return np.zeros(size, bool)
    if settings.form == "pairs":
        return decode_text(text, size, make_dialect(settings))
    if text.lstrip().startswith(("[", "{")):
        content = json.loads(text)
        counts = content.get("counts") if isinstance(content, dict) else content
        if isinstance(counts, list):
            return decode_coco_counts(counts, size)
        text = str(counts)
    return decode_coco_text(text, size)


def _fingerprint(labels: LabelSet, run_lengths: RunLengths, pictures: Pictures) -> str:
    """Return 8 hex digits that change with all settings that decide how a mask is drawn."""
    reading = [pictures.orientation, pictures.mask_threshold, pictures.resize_masks]
    rules = [_FORMAT, list(labels.definition.items()), run_lengths.model_dump(), reading]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:8]


def _hash_parts(images: Sequence[MaskParts]) -> dict[str, str]:
    """Return a hash, by id, of all that each mask is drawn from."""
    files = [part.source for item in images for part in item.parts if isinstance(part.source, Path)]
    hash_of_file = dict(zip(files, hash_files(files), strict=True))
    hashes = {}
    for item in images:
        content = [
            [part.class_index, hash_of_file[part.source] if isinstance(part.source, Path) else part.source]
            for part in item.parts
        ]
        hashes[item.id] = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    return hashes


def _read_record(folder: Path) -> dict[str, str]:
    path = folder / _RECORD
    return dict(read_record(path, {})) if path.is_file() else {}


def _list_missing(images: Sequence[MaskParts], hashes: dict[str, str], folder: Path) -> list[MaskParts]:
    record = _read_record(folder)
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    return [item for item in images if record.get(item.id) != hashes[item.id] or f"{item.id}.png" not in present]


def _draw_all(images: Sequence[MaskParts], draw: Callable[[MaskParts], tuple[RawIds, int]], folder: Path) -> None:
    """Draw masks into a folder, with as many threads as there are cores. FoldsegError names all that fail."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(partial(_draw_or_error, draw, folder), images)
        bar = tqdm(steps, "drawing masks", len(images), unit="mask", leave=False, disable=None)
        outcomes = list(bar)
    raise_if_any([str(outcome) for outcome in outcomes if isinstance(outcome, FoldsegError)], "masks")
    covered = [(count, item) for count, item in zip(outcomes, images, strict=True) if isinstance(count, int) and count]
    if covered:
        pixels = sum(count for count, _ in covered)
        say_once(
            f"{len(covered)} of {len(images)} images have pixels of several classes ({pixels} pixels, e.g. in "
            f"{covered[0][1].id}); the class that is later in data.dataset.classes is kept. To keep all, set "
            "data.dataset.overlapping=true"
        )


def _draw_or_error(
    draw: Callable[[MaskParts], tuple[RawIds, int]], folder: Path, item: MaskParts
) -> int | FoldsegError:
    """Write the mask of one image. Return how many pixels were drawn over by another class, or the error."""
    try:
        mask, covered = draw(item)
    except FoldsegError as error:
        return error
    is_encoded, content = cv2.imencode(".png", mask)
    if not is_encoded:
        return FoldsegError(f"{folder / item.id}.png: could not be encoded")
    write_bytes(folder / f"{item.id}.png", content.tobytes())
    return covered


def _draw(labels: LabelSet, run_lengths: RunLengths, pictures: Pictures, item: MaskParts) -> tuple[RawIds, int]:
    """Return the mask of an image as its file holds it, and how many pixels several exclusive classes claim.

    It is raw ids or class bits (H, W), or BGR (H, W, 3) if masks hold colours.
    """
    size = read_image_size(item.image, pictures)
    planes = np.zeros((len(labels), *size), bool)
    for part in item.parts:
        planes[part.class_index] |= _read_part(part, item.image, size, run_lengths, pictures)
    if labels.overlapping:
        return labels.pack_planes(planes), 0
    covered = int((planes.sum(0) > 1).sum())
    mask = np.zeros(size, np.uint8)
    for index, plane in enumerate(planes):
        mask[plane] = index
    raw_ids = labels.decode(mask)
    if labels.raw_colours:
        return np.array(labels.raw_colours, np.uint8)[raw_ids][..., ::-1], covered
    return raw_ids, covered


def _read_part(
    part: MaskPart, image: Path, size: tuple[int, int], run_lengths: RunLengths, pictures: Pictures
) -> NDArray[np.bool_]:
    """Return the pixels of a part (H, W) bool. FoldsegError names its place."""
    if isinstance(part.source, str):
        try:
            return decode_runs(part.source, size, run_lengths)
        except ValueError as error:
            raise FoldsegError(f"{part.place}: {error} (the image {image} is {size[1]}x{size[0]})") from None
    plane = read_plane(part.source, pictures)
    plane = fit_size(plane.view(np.uint8), size, pictures).view(np.bool_)
    if plane.shape != size:
        raise FoldsegError(
            f"{part.place}: is {plane.shape[1]}x{plane.shape[0]}, its image {image} is {size[1]}x{size[0]} "
            "(width x height); to resize it, set data.pictures.resize_masks=true"
        )
    return plane

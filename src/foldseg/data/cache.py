"""An optional cache of decoded frames: one file of raw bytes that is mapped into memory.

    <cache>/<fingerprint>/frames.bin    per frame: image (H, W, 3) uint8 RGB, then mask (H, W) uint8 class indices
                          index.json    written last: its presence means complete

The fingerprint changes with what the files hold, the label set, how pictures are read, the code that reads them and
OpenCV's version: a cache is either right or not found. Several processes may start at once: one builds, the others
wait. The lock is the kernel's, so a process that was killed holds none; its half-built file has no index and is built
anew.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.data.content import code_hash, file_hashes
from foldseg.data.counting import count_classes
from foldseg.data.frames import FileFrames
from foldseg.data.labels import Image, Mask
from foldseg.data.reading import image_size
from foldseg.errors import FoldsegError
from foldseg.files import locked, read_record, write_json

logger = logging.getLogger(__name__)

_FORMAT = 2  # part of the fingerprint: to be raised when the layout changes
_BYTES = 4  # per pixel: red, green, blue and the class
_GIB = 2**30
_DECODING = tuple(f"data/{name}.py" for name in ("counting", "frames", "headers", "jpegs", "labels", "reading"))


class CachedFrames:
    """Frames of a complete cache; what is read are views of the file, so a crop costs no more than its own pixels."""

    def __init__(self, home: Path, ids: Sequence[str] | None = None) -> None:
        """Open the cache in `home`; `ids` chooses frames and their order (None: all)."""
        index = _read_index(home)
        place = {name: row for row, name in enumerate(index["ids"])}
        rows = [place[name] for name in (index["ids"] if ids is None else ids)]
        sizes = np.array(index["sizes"], np.int64)
        starts = np.cumsum(sizes.prod(1) * _BYTES) - sizes.prod(1) * _BYTES
        self.home = home
        self.ids = [index["ids"][row] for row in rows]
        self._sizes, self._starts = sizes[rows].tolist(), starts[rows].tolist()
        self._pixels = np.array(index["pixels"], np.int64)[rows]
        self._content: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map behind when a worker process is spawned: it would travel as a copy of the whole file."""
        return self.__dict__ | {"_content": None}

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Return views of image (H, W, 3) uint8 RGB and mask (H, W) uint8 that cannot be written to."""
        if self._content is None:
            self._content = np.asarray(np.memmap(self.home / "frames.bin", np.uint8, "r"))
        (height, width), start = self._sizes[index], self._starts[index]
        middle = start + 3 * height * width
        image = self._content[start:middle].reshape(height, width, 3)
        return image, self._content[middle : middle + height * width].reshape(height, width)

    def class_pixels(self) -> NDArray[np.int64]:
        """Pixels of every class in every mask, counted when the cache was built: (frames, classes + 1), void last."""
        return self._pixels


def cached_frames(files: FileFrames, folder: Path) -> CachedFrames:
    """Return `files` decoded, from the cache in `folder`; decode them into it if that has not been done.

    FoldsegError when a frame has no mask or is damaged, and when they do not fit on the disk.
    """
    home = folder / fingerprint(files)
    if not _is_complete(home):
        with _locked(home):
            if not _is_complete(home):
                _build(files, home)
    return CachedFrames(home)


def fingerprint(files: FileFrames) -> str:
    """16 hex digits that change with the files' ids and contents, the classes, our code that decodes, and OpenCV's."""
    assert files.labels is not None
    ids, images, masks = _columns(files)
    contents = [ids, file_hashes(images), file_hashes(masks)]
    how = files.encoded, files.pictures.model_dump()
    facts = [_FORMAT, cv2.__version__, code_hash(*_DECODING), list(files.labels.facts.items()), how, contents]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _columns(files: FileFrames) -> tuple[Sequence[str], Sequence[Path], Sequence[Path]]:
    masks = [mask for mask in files.masks if mask is not None]
    if len(masks) < len(files.ids):
        lonely = files.images[files.masks.index(None)]
        raise FoldsegError(f"{lonely}: has no mask; only images with masks are cached")
    return files.ids, files.images, masks


def _read_index(home: Path) -> dict[str, Any]:
    kinds = {"bytes": int, "ids": list[str], "sizes": list[list[int]], "pixels": list[list[int]]}
    return read_record(home / "index.json", kinds)


def _is_complete(home: Path) -> bool:
    index, frames = home / "index.json", home / "frames.bin"
    return index.is_file() and frames.is_file() and frames.stat().st_size == _read_index(home)["bytes"]


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of a cache; wait for whoever builds it."""
    try:
        with locked(home / "frames.bin", wait=True):
            yield
    except OSError as error:
        raise FoldsegError(f"{home}: the cache could not be written: {error.strerror or error}") from error


def _build(files: FileFrames, home: Path) -> None:
    """Decode all frames into `home` with as many threads as there are cores; write the index last."""
    assert files.labels is not None
    (home / "frames.bin").unlink(missing_ok=True)  # what a killed process has left is not to count as used space
    sizes = [image_size(path, files.pictures) for path in files.images]
    lengths = [height * width * _BYTES for height, width in sizes]
    _check_space(home, sum(lengths), len(sizes))
    starts = np.cumsum([0, *lengths]).tolist()
    with (home / "frames.bin").open("wb") as stream, ThreadPoolExecutor(os.cpu_count()) as pool:
        write = partial(_write_frame, files, stream.fileno(), starts)
        steps = pool.map(write, range(len(sizes)))
        try:
            pixels = list(tqdm(steps, total=len(sizes), desc="caching", unit="image", leave=False, disable=None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    write_json(home / "index.json", {"bytes": sum(lengths), "ids": files.ids, "sizes": sizes, "pixels": pixels})


def _write_frame(files: FileFrames, descriptor: int, starts: list[int], index: int) -> list[int]:
    """Write one frame to its place; return its pixels per class, void last."""
    image, mask = files.read(index)
    assert mask is not None
    assert files.labels is not None
    content = memoryview(image.tobytes() + mask.tobytes())
    done = 0
    while done < len(content):  # a single call writes 2 GiB at most, and less before the disk is full
        done += os.pwrite(descriptor, content[done:], starts[index] + done)
    return count_classes(mask, len(files.labels)).tolist()


def _check_space(home: Path, needed: int, frames: int) -> None:
    """Say how large the cache will be; FoldsegError when the disk has not that much."""
    free = shutil.disk_usage(home).free
    logger.info("%s: caching %d images, %.2f GiB of %.1f GiB free", home, frames, needed / _GIB, free / _GIB)
    if needed > free:
        others = sum(path.stat().st_size for path in home.parent.glob("*/frames.bin"))
        raise FoldsegError(
            f"cache: {home.parent}: {frames} decoded images take {needed / _GIB:.2f} GiB and {free / _GIB:.2f} GiB are "
            f"free ({others / _GIB:.2f} GiB are in older caches there, which may be removed); "
            "choose another folder, or train without (cache=null)"
        )

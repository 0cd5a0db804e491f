"""An optional cache of decoded frames: one file of raw bytes that is mapped into memory.

    <cache>/<fingerprint>/frames.bin    per frame: image (H, W, channels) uint8, then mask (H, W) uint8 class indices
                          index.json    written last: its presence means complete

The fingerprint depends on what the files hold, the label set, how pictures are read, the code that reads them and
OpenCV's version. So a cache that is found is always right. If several processes start at once, one builds the cache and
the others wait. The kernel releases the lock of a process that is killed. What it has built has no index and is built
again.
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
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from foldseg.data.counting import count_classes
from foldseg.data.frames import FileFrames
from foldseg.data.hashes import hash_code, hash_files
from foldseg.data.labels import Image, Mask
from foldseg.data.reading import read_image_size
from foldseg.errors import FoldsegError
from foldseg.files import locked, read_record, write_json

logger = logging.getLogger(__name__)

_FORMAT = 3
"""Part of the fingerprint. Raise it when the layout of the files changes."""
_GIB = 2**30
_MODULES = (
    "channels", "colour_codes", "counting", "frames", "headers", "image_decoding", "jpegs", "labels", "mask_files",
    "number_files", "orientation", "reading", "tiff",
)  # fmt: skip
_DECODING = tuple(f"data/{name}.py" for name in _MODULES)


class CachedFrames:
    """The frames of a complete cache.

    Images and masks are views of the file that is mapped into memory, so a crop reads no more than its own pixels.
    """

    def __init__(self, home: Path, ids: Sequence[str] | None = None) -> None:
        """Open the cache in `home`. `ids` says which frames are taken, and in which order; None: all."""
        index = _read_index(home)
        row_of_id = {name: row for row, name in enumerate(index["ids"])}
        rows = [row_of_id[name] for name in (index["ids"] if ids is None else ids)]
        sizes = np.array(index["sizes"], np.int64)
        self._channels = int(index["channels"])
        lengths = sizes.prod(1) * (self._channels + 1)
        if lengths.sum() != index["bytes"]:
            raise FoldsegError(
                f"{home / 'index.json'}: is damaged: its sizes are not those of frames.bin; remove {home}"
            )
        starts = np.cumsum(lengths) - lengths
        self.home = home
        self.ids = [index["ids"][row] for row in rows]
        self._sizes, self._starts = sizes[rows].tolist(), starts[rows].tolist()
        self._pixels = np.array(index["pixels"], np.int64)[rows]
        self._content: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped file out when a worker process is spawned, or the worker would get a copy of all bytes."""
        return self.__dict__ | {"_content": None}

    def read(self, index: int) -> tuple[Image, Mask | None]:
        """Return image (H, W, channels) uint8 and mask (H, W) uint8, as views that cannot be written to."""
        if self._content is None:
            self._content = np.asarray(np.memmap(self.home / "frames.bin", np.uint8, "r"))
        height, width = self._sizes[index]
        start = self._starts[index]
        middle = start + self._channels * height * width
        end = middle + height * width
        image = self._content[start:middle].reshape(height, width, self._channels)
        mask = self._content[middle:end].reshape(height, width)
        return image, mask

    def count_class_pixels(self) -> NDArray[np.int64]:
        """Return the pixels of every class in every mask: (frames, classes + 1) int64, void last.

        They were counted when the cache was built.
        """
        return self._pixels


def cache_frames(files: FileFrames, folder: Path) -> CachedFrames:
    """Return the decoded frames of `files` from the cache in `folder`, which is built if it is not there.

    FoldsegError if a frame has no mask or is damaged, and if the disk is too small.
    """
    home = folder / compute_fingerprint(files)
    if not _is_complete(home):
        with _locked(home):
            if not _is_complete(home):
                _build(files, home)
    return CachedFrames(home)


def compute_fingerprint(files: FileFrames) -> str:
    """Return 16 hex digits that change with ids, contents and classes of the files, and with the code that decodes.

    FoldsegError if a frame has no mask.
    """
    assert files.labels is not None
    masks = [mask for mask in files.masks if mask is not None]
    if len(masks) < len(files.ids):
        unpaired = files.images[files.masks.index(None)]
        raise FoldsegError(f"{unpaired}: has no mask; only images with masks are cached")
    contents = [files.ids, hash_files(files.images), hash_files(masks)]
    reading = files.encoded, files.pictures.model_dump()
    classes = list(files.labels.definition.items())
    parts = [_FORMAT, cv2.__version__, hash_code(*_DECODING), classes, reading, contents]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _read_index(home: Path) -> dict[str, Any]:
    kinds = {
        "bytes": int,
        "channels": Annotated[int, Field(ge=1)],
        "ids": list[str],
        "sizes": list[list[int]],
        "pixels": list[list[int]],
    }
    return read_record(home / "index.json", kinds)


def _is_complete(home: Path) -> bool:
    index, frames = home / "index.json", home / "frames.bin"
    return index.is_file() and frames.is_file() and frames.stat().st_size == _read_index(home)["bytes"]


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of a cache; wait until no other process builds it."""
    try:
        with locked(home / "frames.bin", wait=True):
            yield
    except OSError as error:
        raise FoldsegError(f"{home}: the cache could not be written: {error.strerror or error}") from error


def _build(files: FileFrames, home: Path) -> None:
    """Decode all frames into `home`, with as many threads as there are cores. Write the index last."""
    assert files.labels is not None
    (home / "frames.bin").unlink(missing_ok=True)  # or the file of a killed process would count as used space
    sizes = [read_image_size(path, files.pictures) for path in files.images]
    channels = files.pictures.channels
    lengths = [height * width * (channels + 1) for height, width in sizes]
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
    index = {"bytes": sum(lengths), "channels": channels, "ids": files.ids, "sizes": sizes, "pixels": pixels}
    write_json(home / "index.json", index)


def _write_frame(files: FileFrames, descriptor: int, starts: list[int], index: int) -> list[int]:
    """Write one frame to its place in the file; return its pixels of each class, void last."""
    image, mask = files.read(index)
    assert mask is not None
    assert files.labels is not None
    content = memoryview(image.tobytes() + mask.tobytes())
    written = 0
    while written < len(content):  # one call writes at most 2 GiB, and less if the disk is nearly full
        written += os.pwrite(descriptor, content[written:], starts[index] + written)
    return count_classes(mask, files.labels).tolist()


def _check_space(home: Path, needed: int, frames: int) -> None:
    """Log how large the cache will be. FoldsegError if the disk has too little space."""
    free = shutil.disk_usage(home).free
    logger.info("%s: caching %d images, %.2f GiB of %.1f GiB free", home, frames, needed / _GIB, free / _GIB)
    if needed > free:
        others = sum(path.stat().st_size for path in home.parent.glob("*/frames.bin"))
        raise FoldsegError(
            f"cache: {home.parent}: {frames} decoded images take {needed / _GIB:.2f} GiB and {free / _GIB:.2f} GiB are "
            f"free ({others / _GIB:.2f} GiB are in older caches there, which may be removed); "
            "choose another folder, or train without (cache=null)"
        )

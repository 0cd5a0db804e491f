"""The prediction store: per run, split, TTA and view, one compressed file per image, found by the image's id.

    <store>/store.json   run, split, fold, class names, checkpoint hash, view, TTA, all ids that belong here, with the
                         hash of the picture that each was predicted from, and of the code
    <store>/<id>.prob    a small header, then the quantised planes or the logits, compressed with zstd

Files appear whole, so a store can be read while another process writes it. Quantisation: round(255 p), but the most
probable class stays the first of the largest. Rows are kept as differences from those above, which compress better.
Measured in benchmarks/inference.md.
"""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zstandard
from numpy.typing import NDArray

from foldseg.config.schema import PredictView, Tta
from foldseg.data.hashes import format_count
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record, remove_partials, write_bytes, write_json
from foldseg.inference.logits import Enlargement, planes_of_logits
from foldseg.inputs import is_absent, read_bytes

_PLANES, _DIFFERENCES, _LOGITS = b"FSP1", b"FSP2", b"FSL1"  # the first: as stores were written at the beginning
_SUFFIX = ".prob"
_LEVEL = 3  # of zstd: higher levels save little on maps that are mostly 0 and 255
_ROWS = 64  # of which the first is whole and the others are differences from the row above

Quantised = NDArray[np.uint8]


class StoreState(Enum):
    """What there is of a store: nothing, predictions of something else, some or all of those that it should hold."""

    ABSENT = "absent"
    STALE = "stale"
    PARTIAL = "partial"
    COMPLETE = "complete"


@dataclass(frozen=True)
class StoreFacts:
    """Whose predictions a store holds. Where two do not differ (see `differences`) they hold the same."""

    run: str
    split: str
    fold: int
    classes: list[str]
    checkpoint: str  # SHA-256 of the weights
    view: dict[str, Any]
    tta: dict[str, Any] | list[str]
    ids: list[str]
    # SHA-256 of the picture of each id, "" where it is not known; [] in stores that are older than this record
    pictures: list[str] = field(default_factory=list)
    code: str = ""  # of the rooms that predictions depend on; it is said where it differs, and decides nothing

    @property
    def picture_of(self) -> dict[str, str]:
        """Id -> SHA-256 of its picture, of those that are known."""
        return {name: picture for name, picture in zip(self.ids, self.pictures, strict=False) if picture}

    def differences(self, other: "StoreFacts") -> list[str]:
        """Name what other predictions are of, or made with. Settings that came later are taken at their defaults."""
        pairs: dict[str, tuple[Any, Any]] = {
            "split": (self.split, other.split),
            "fold": (self.fold, other.fold),
            "classes": (self.classes, other.classes),
            "weights": (self.checkpoint, other.checkpoint),
            "view": (_parsed(PredictView.parse, self.view), _parsed(PredictView.parse, other.view)),
            "TTA": (_parsed(Tta.model_validate, self.tta), _parsed(Tta.model_validate, other.tta)),
            "images": (self.ids, other.ids),
        }
        return [name for name, (ours, theirs) in pairs.items() if ours != theirs]


_FACTS = {"split": str, "fold": int, "classes": list[str], "checkpoint": str, "view": dict, "ids": list[str]}


def _parsed(parse: Callable[[Any], Any], settings: Any) -> Any:
    try:
        return parse(settings)
    except ValueError:
        return settings


@dataclass(frozen=True)
class PredictionStore:
    """A store on disk."""

    path: Path

    @cached_property
    def facts(self) -> StoreFacts:
        """Content of store.json. FoldsegError when it is missing or malformed."""
        try:
            return StoreFacts(**read_record(self._description, _FACTS))
        except TypeError as error:
            raise FoldsegError(f"{self._description}: does not describe a prediction store ({error})") from error

    def begin(self, facts: StoreFacts) -> None:
        """Start writing, or go on writing, a store.

        Maps of other facts (an older checkpoint) are removed, and those of pictures that have been replaced. So a map
        that is there is of the picture whose hash store.json has, whenever the process is killed.
        """
        remove_partials(self.path)
        self.__dict__.pop("facts", None)
        if self.state(facts) in (StoreState.ABSENT, StoreState.STALE):
            for stale in self.path.rglob(f"*{_SUFFIX}"):
                stale.unlink()
        elif (going_on := self._going_on(facts)) != self.facts:
            facts = going_on
        else:
            return
        write_json(self._description, asdict(facts))
        self.__dict__.pop("facts", None)

    def _going_on(self, facts: StoreFacts) -> StoreFacts:
        """Remove maps of replaced pictures; return `facts` as they are of the maps that stay, and of those to come."""
        if not facts.pictures:
            return self.facts
        for name in self.replaced(facts):
            self._file(name).unlink(missing_ok=True)
        missing, known = set(self.missing()), self.facts.picture_of
        pictures = [
            picture if name in missing or name in known else ""
            for name, picture in zip(facts.ids, facts.pictures, strict=False)
        ]
        return replace(facts, pictures=pictures, code=facts.code if len(missing) == len(facts.ids) else self.facts.code)

    def state(self, expected: StoreFacts) -> StoreState:
        """Tell what there is of a store that should hold what `expected` says."""
        if is_absent(self._description):
            return StoreState.ABSENT
        read_bytes(self._description)  # what cannot be read is not taken for stale, which would cost the maps
        if self.unlike(expected):
            return StoreState.STALE
        return StoreState.PARTIAL if self.missing() or self.replaced(expected) else StoreState.COMPLETE

    def unlike(self, expected: StoreFacts) -> list[str]:
        """Name what the predictions of a store are of, or made with, that is not as `expected`."""
        try:
            return self.facts.differences(expected)
        except FoldsegError:
            return ["things that its damaged store.json does not tell"]

    def replaced(self, expected: StoreFacts) -> list[str]:
        """Ids whose picture is another one than that which was predicted, as far as both are known."""
        before = self.facts.picture_of
        return [name for name, now in expected.picture_of.items() if before.get(name, now) != now]

    def unverified(self) -> list[str]:
        """Ids that are predicted, from a picture whose content was not recorded."""
        known, missing = self.facts.picture_of, set(self.missing())
        return [name for name in self.facts.ids if name not in known and name not in missing]

    def missing(self) -> list[str]:
        """Ids that belong to the store and are not written yet."""
        return [name for name in self.facts.ids if not self._file(name).is_file()]

    def require_complete(self, expected: StoreFacts | None = None) -> None:
        """FoldsegError that says what is wrong unless every image is there, predicted as `expected`, if given, says."""
        remedy = "foldseg predict"
        if expected is not None:
            state = self.state(expected)
            if state is StoreState.ABSENT:
                raise FoldsegError(f"{self.path}: has not been predicted yet; make it with {remedy}")
            if state is StoreState.STALE:
                differences = " and ".join(self.unlike(expected))
                raise FoldsegError(
                    f"{self.path}: is stale, it was predicted with other {differences}; run {remedy} again"
                )
            if replaced := self.replaced(expected):
                raise FoldsegError(
                    f"{self.path}: {format_count(replaced, 'picture')} of {len(expected.ids)} changed after being "
                    f"predicted, e.g. {replaced[0]}; {remedy} predicts what changed again"
                )
        if missing := self.missing():
            raise FoldsegError(
                f"{self.path}: is not complete: {len(missing)} of {len(self.facts.ids)} images are missing, "
                f"e.g. {shorten(missing)}; {remedy} goes on where it stopped"
            )

    def write(self, name: str, quantised: Quantised) -> None:
        """Write one image's probabilities, (classes, H, W) uint8 = round(255 p)."""
        classes, height, width = quantised.shape
        header = {"classes": classes, "height": height, "width": width}
        self._write(name, _DIFFERENCES, header, _differences(quantised))

    def write_logits(self, name: str, logits: NDArray[np.float16], how: Enlargement) -> None:
        """Write one image's logits (classes, h, w) float16, which `read` enlarges before it takes their softmax."""
        header = {"logits": logits.shape, "padded": how.padded, "size": how.size, "align_corners": how.align_corners}
        halves = np.ascontiguousarray(logits).view(np.uint8).reshape(-1, 2)  # all low bytes, then all high ones
        self._write(name, _LOGITS, header, np.ascontiguousarray(halves.T))

    def read(self, name: str) -> Quantised:
        """Read one image's probabilities, (classes, H, W) uint8 = round(255 p). FoldsegError names file and reason."""
        path = self._file(name)
        if is_absent(path):
            raise FoldsegError(f"{self.path}: has no prediction for {name}")
        content = read_bytes(path)
        try:
            start = 8 + struct.unpack("<I", content[4:8])[0]
            return _READERS[content[:4]](json.loads(content[8:start]), content[start:])
        except (ValueError, KeyError, TypeError, RecursionError, struct.error, zstandard.ZstdError) as error:
            raise FoldsegError(f"{path}: is damaged ({error}); remove it and predict again") from error

    def _write(self, name: str, magic: bytes, header: dict[str, Any], content: Quantised) -> None:
        described = json.dumps(header).encode()
        body = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content.data)
        write_bytes(self._file(name), magic + struct.pack("<I", len(described)) + described + body)

    @property
    def _description(self) -> Path:
        return self.path / "store.json"

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"


def quantised(probabilities: NDArray[np.float32]) -> Quantised:
    """Probabilities (classes, H, W) -> uint8 round(255 p), of which `argmax` is the same at every pixel.

    Rounding makes classes equal that were not. Where another of them would come first then, the most probable one gets
    one more.
    """
    planes = np.empty(probabilities.shape, np.uint8)
    for plane, out in zip(probabilities, planes, strict=True):
        cv2.convertScaleAbs(plane, out, 255.0)
    largest = np.add.reduce((planes == planes.max(0)).view(np.uint8), axis=0, dtype=np.uint8)
    rows, columns = np.nonzero(largest > 1)
    first = probabilities[:, rows, columns].argmax(0)
    planes[first, rows, columns] += planes[:, rows, columns].argmax(0) != first
    return planes


def _differences(planes: Quantised) -> Quantised:
    """Subtract from each row the one above, but for every `_ROWS`-th; modulo 256."""
    result = np.array(planes, order="C")
    for step in range(1, _ROWS):
        rows = result[:, step::_ROWS]
        rows -= planes[:, step - 1 :: _ROWS][:, : rows.shape[1]]
    return result


def _sums(differences: Quantised) -> Quantised:
    """Undo `_differences`."""
    planes = differences.copy()
    for step in range(1, _ROWS):
        rows = planes[:, step::_ROWS]
        rows += planes[:, step - 1 :: _ROWS][:, : rows.shape[1]]
    return planes


def _decompressed(body: bytes, shape: tuple[int, ...]) -> Quantised:
    """ValueError unless a frame holds exactly the bytes of an array of this shape; no more are ever decompressed."""
    size = math.prod(shape)
    if min(shape) < 1 or zstandard.frame_content_size(body) != size:
        raise ValueError(f"its planes of {'x'.join(map(str, shape))} do not fit what is compressed")
    planes = zstandard.ZstdDecompressor().decompress(body)
    return np.frombuffer(planes, np.uint8).reshape(shape)


def _read_planes(header: dict[str, Any], body: bytes) -> Quantised:
    return _decompressed(body, (int(header["classes"]), int(header["height"]), int(header["width"])))


def _read_logits(header: dict[str, Any], body: bytes) -> Quantised:
    classes, height, width = header["logits"]
    halves = _decompressed(body, (2, classes * height * width))
    logits = np.ascontiguousarray(halves.T).view(np.float16).reshape(classes, height, width)
    how = Enlargement(tuple(header["padded"]), tuple(header["size"]), bool(header["align_corners"]))
    return planes_of_logits(logits, how)


_READERS = {
    _PLANES: _read_planes,
    _DIFFERENCES: lambda header, body: _sums(_read_planes(header, body)),
    _LOGITS: _read_logits,
}

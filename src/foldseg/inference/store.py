"""The prediction store: a folder of probability maps, one compressed file per image, keyed by id.

`store.json` says whose predictions these are and which ids belong to it; `<id>.prob` is one image. Files appear whole
(temporary name, then rename), so a store may be read while it is being written, and writing goes on where it stopped.

A `.prob` file: the magic `FSP1`, the length of a JSON header as uint32 (little-endian), the header (`classes`,
`height`, `width`), then zstd-compressed uint8 planes (classes, height, width): round(255 p). Measured on
CamVid frames and a half-trained U-Net: 2 of 10,000 pixels change their argmax, the file is an eleventh of a compressed
float16 npz and is written 27 times faster (sharper predictions lose and take less).
"""

import json
import struct
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_json, remove_partials, write_bytes, write_json

_MAGIC = b"FSP1"
_SUFFIX = ".prob"
_LEVEL = 3  # of zstd: higher levels save little on maps that are mostly 0 and 255

Quantised = NDArray[np.uint8]


@dataclass(frozen=True)
class StoreFacts:
    """Whose predictions a store holds. Two stores with equal facts hold the same predictions."""

    run: str
    split: str
    fold: int
    classes: list[str]
    checkpoint: str  # SHA-256 of the weights
    view: dict[str, object]
    tta: list[str]
    ids: list[str]


@dataclass(frozen=True)
class PredictionStore:
    """A store on disk."""

    path: Path

    @cached_property
    def facts(self) -> StoreFacts:
        """Content of store.json. FoldsegError when it is missing or malformed."""
        try:
            return StoreFacts(**read_json(self.path / "store.json"))
        except TypeError as error:
            raise FoldsegError(f"{self.path / 'store.json'}: does not describe a prediction store ({error})") from error

    def begin(self, facts: StoreFacts) -> None:
        """Start writing, or go on writing, a store; maps of other facts (an older checkpoint) are removed."""
        described = self.path / "store.json"
        remove_partials(self.path)
        if not described.is_file() or read_json(described) != asdict(facts):
            for stale in self.path.glob(f"*{_SUFFIX}"):
                stale.unlink()
            write_json(described, asdict(facts))
        self.__dict__.pop("facts", None)

    def missing(self) -> list[str]:
        """Ids that belong to the store and are not written yet."""
        return [name for name in self.facts.ids if not self._file(name).is_file()]

    def require_complete(self) -> None:
        """FoldsegError that names ids which are missing."""
        if missing := self.missing():
            raise FoldsegError(
                f"{self.path}: is not complete: {len(missing)} of {len(self.facts.ids)} images are missing, "
                f"e.g. {shorten(missing)}; scripts/predict_fold.py goes on where it stopped"
            )

    def write(self, name: str, quantised: Quantised) -> None:
        """Write one image's probabilities, (classes, H, W) uint8 = round(255 p)."""
        classes, height, width = quantised.shape
        header = json.dumps({"classes": classes, "height": height, "width": width}).encode()
        body = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(
            np.ascontiguousarray(quantised).data
        )
        write_bytes(self._file(name), _MAGIC + struct.pack("<I", len(header)) + header + body)

    def read(self, name: str) -> Quantised:
        """Read one image's probabilities, (classes, H, W) uint8 = round(255 p). FoldsegError names file and reason."""
        path = self._file(name)
        try:
            content = path.read_bytes()
            if content[:4] != _MAGIC:
                raise ValueError("not a probability map")
            start = 8 + struct.unpack("<I", content[4:8])[0]
            header = json.loads(content[8:start])
            shape = (int(header["classes"]), int(header["height"]), int(header["width"]))
            planes = zstandard.ZstdDecompressor().decompress(content[start:], max_output_size=int(np.prod(shape)))
            return np.frombuffer(planes, np.uint8).reshape(shape)
        except FileNotFoundError as error:
            raise FoldsegError(f"{self.path}: has no prediction for {name}") from error
        except (OSError, ValueError, KeyError, struct.error, zstandard.ZstdError) as error:
            raise FoldsegError(f"{path}: is damaged ({error}); remove it and predict again") from error

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

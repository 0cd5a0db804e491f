"""The prediction store: per run, split, TTA and view, one compressed file per image, found by the image's id.

    <store>/store.json   run, split, fold, class names, hash of the checkpoint, view, TTA, all ids that belong here, the
                         hash of the picture that each was predicted from, and the hash of the code
    <store>/<id>.prob    the probability maps of one image, see `inference/map_file.py`

Files appear whole, so a store can be read while another process writes it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import PredictView, Tta
from foldseg.data.hashes import format_count
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import read_record, remove_partials, write_bytes, write_json
from foldseg.inference.enlargement import Enlargement
from foldseg.inference.map_file import DAMAGE, decode_planes, encode_logits, encode_planes
from foldseg.inference.map_file import Quantised as Quantised
from foldseg.inputs import is_absent, read_bytes

_SUFFIX = ".prob"


class StoreState(Enum):
    """How far a store holds what it should hold."""

    ABSENT = "absent"
    """There is no store."""
    STALE = "stale"
    """It holds predictions of something else, e.g. of an older checkpoint."""
    PARTIAL = "partial"
    """Some images are missing, or their pictures have changed."""
    COMPLETE = "complete"
    """All images are there."""


@dataclass(frozen=True)
class StoreMetadata:
    """What the maps of a store depend on. If two do not differ (see `differences`), their stores hold the same.

    `checkpoint`: SHA-256 of the weights. `pictures`: SHA-256 of the picture of each id, "" where it is not known; []
    in stores that are older than this record. `code`: hash of the rooms that predictions depend on. Where `code`
    differs, a message says so, and the store stays valid.
    """

    run: str
    split: str
    fold: int
    classes: list[str]
    checkpoint: str
    view: dict[str, Any]
    tta: dict[str, Any] | list[str]
    ids: list[str]
    pictures: list[str] = field(default_factory=list)
    code: str = ""

    @property
    def picture_hashes(self) -> dict[str, str]:
        """Id -> SHA-256 of its picture, for the ids whose picture is known."""
        return {name: picture for name, picture in zip(self.ids, self.pictures, strict=False) if picture}

    def differences(self, other: "StoreMetadata") -> list[str]:
        """Name what is different in `other`. Settings that came later are taken at their defaults."""
        pairs: dict[str, tuple[Any, Any]] = {
            "split": (self.split, other.split),
            "fold": (self.fold, other.fold),
            "classes": (self.classes, other.classes),
            "weights": (self.checkpoint, other.checkpoint),
            "view": (_parse_if_valid(PredictView.parse, self.view), _parse_if_valid(PredictView.parse, other.view)),
            "TTA": (_parse_if_valid(Tta.model_validate, self.tta), _parse_if_valid(Tta.model_validate, other.tta)),
            "images": (self.ids, other.ids),
        }
        return [name for name, (ours, theirs) in pairs.items() if ours != theirs]


_REQUIRED = {"split": str, "fold": int, "classes": list[str], "checkpoint": str, "view": dict, "ids": list[str]}


def _parse_if_valid(parse: Callable[[Any], Any], settings: Any) -> Any:
    try:
        return parse(settings)
    except ValueError:
        return settings


@dataclass(frozen=True)
class PredictionStore:
    """A store on disk."""

    path: Path

    @cached_property
    def metadata(self) -> StoreMetadata:
        """Content of store.json. FoldsegError when it is missing or malformed."""
        try:
            return StoreMetadata(**read_record(self._description, _REQUIRED))
        except TypeError as error:
            raise FoldsegError(f"{self._description}: does not describe a prediction store ({error})") from error

    def begin(self, expected: StoreMetadata) -> None:
        """Start a store that should hold what `expected` says, or prepare to go on with it.

        Maps of a stale store are removed, and so are maps of pictures that have been replaced. So a map that is there
        is always one of the picture whose hash is in store.json, even if the process is killed.
        """
        remove_partials(self.path)
        self.__dict__.pop("metadata", None)
        if self.state(expected) in (StoreState.ABSENT, StoreState.STALE):
            for stale in self.path.rglob(f"*{_SUFFIX}"):
                stale.unlink()
            updated = expected
        else:
            updated = self._keep_valid_maps(expected)
            if updated == self.metadata:
                return
        write_json(self._description, asdict(updated))
        self.__dict__.pop("metadata", None)

    def _keep_valid_maps(self, expected: StoreMetadata) -> StoreMetadata:
        """Remove maps of replaced pictures. Return the metadata of the maps that stay and of those to come."""
        if not expected.pictures:
            return self.metadata
        for name in self.replaced(expected):
            self.file_of(name).unlink(missing_ok=True)
        missing, recorded = set(self.missing()), self.metadata.picture_hashes
        # The picture of a map that was written without a record stays unknown
        pictures = [
            picture if name in missing or name in recorded else ""
            for name, picture in zip(expected.ids, expected.pictures, strict=False)
        ]
        is_empty = len(missing) == len(expected.ids)
        return replace(expected, pictures=pictures, code=expected.code if is_empty else self.metadata.code)

    def state(self, expected: StoreMetadata) -> StoreState:
        """Return how far the store holds what `expected` says."""
        if is_absent(self._description):
            return StoreState.ABSENT
        read_bytes(self._description)  # raises if it cannot be read: it must not pass for stale, which costs the maps
        if self.differences(expected):
            return StoreState.STALE
        return StoreState.PARTIAL if self.missing() or self.replaced(expected) else StoreState.COMPLETE

    def differences(self, expected: StoreMetadata) -> list[str]:
        """Name what the store's predictions depend on that is not as `expected`."""
        try:
            return self.metadata.differences(expected)
        except FoldsegError:
            return ["things that its damaged store.json does not tell"]

    def replaced(self, expected: StoreMetadata) -> list[str]:
        """Return ids whose picture differs from the one that was predicted, as far as both are known."""
        recorded = self.metadata.picture_hashes
        return [name for name, now in expected.picture_hashes.items() if recorded.get(name, now) != now]

    def unverified(self) -> list[str]:
        """Return ids with a map whose picture was not recorded."""
        recorded, missing = self.metadata.picture_hashes, set(self.missing())
        return [name for name in self.metadata.ids if name not in recorded and name not in missing]

    def missing(self) -> list[str]:
        """Return ids that belong to the store and are not written yet."""
        return [name for name in self.metadata.ids if not self.file_of(name).is_file()]

    def require_complete(self, expected: StoreMetadata | None = None) -> None:
        """Raise FoldsegError, which says what is wrong, unless every image is there.

        With `expected`, the images must also have been predicted as it says.
        """
        remedy = "foldseg predict"
        if expected is not None:
            state = self.state(expected)
            if state is StoreState.ABSENT:
                raise FoldsegError(f"{self.path}: has not been predicted yet; make it with {remedy}")
            if state is StoreState.STALE:
                differences = " and ".join(self.differences(expected))
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
                f"{self.path}: is not complete: {len(missing)} of {len(self.metadata.ids)} images are missing, "
                f"e.g. {shorten(missing)}; {remedy} goes on where it stopped"
            )

    def write(self, name: str, planes: Quantised) -> None:
        """Write one image's probabilities, (classes, H, W) uint8 = round(255 p)."""
        write_bytes(self.file_of(name), encode_planes(planes))

    def write_logits(self, name: str, logits: NDArray[np.float16], enlargement: Enlargement) -> None:
        """Write one image's logits (classes, h, w) float16. `read` enlarges them and makes probabilities of them."""
        write_bytes(self.file_of(name), encode_logits(logits, enlargement))

    def read(self, name: str) -> Quantised:
        """Read one image's probabilities, (classes, H, W) uint8 = round(255 p). FoldsegError names file and reason."""
        path = self.file_of(name)
        if is_absent(path):
            raise FoldsegError(f"{self.path}: has no prediction for {name}")
        content = read_bytes(path)
        try:
            return decode_planes(content)
        except DAMAGE as error:
            raise FoldsegError(f"{path}: is damaged ({error}); remove it and predict again") from error

    @property
    def _description(self) -> Path:
        return self.path / "store.json"

    def file_of(self, name: str) -> Path:
        """Return the path of one image's predictions, whether they are written or not."""
        return self.path / f"{name}{_SUFFIX}"

"""The final predictions of an ensemble, kept as files until the submission is written of them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from foldseg.data.labels import Mask
from foldseg.data.rle import Rle, encode_mask
from foldseg.ensemble.prediction import Prediction
from foldseg.errors import FoldsegError
from foldseg.inference.store import PredictionStore
from foldseg.inputs import read_bytes
from foldseg.submission.label_png import write_png


@dataclass(frozen=True)
class FinalPredictions:
    """A folder with `labels/<id>.png`, which hold class indices or class bits.

    If classes are exclusive and a step lets categories overlap, there is also a store `masks`. A plane of that store is
    255 in the mask of its class, and 0 elsewhere.
    """

    folder: Path
    keeps_masks: bool = False
    """Whether masks that may overlap are kept, too."""

    def write(self, name: str, prediction: Prediction) -> None:
        """Write one image's prediction."""
        if self.keeps_masks:
            assert prediction.masks is not None
            self._masks.write(name, prediction.masks * np.uint8(255))
        write_png(self._labels(name), prediction.labels)

    def files_of(self, name: str) -> list[Path]:
        """Return the files of one image."""
        return [self._labels(name), *([self._masks.file_of(name)] if self.keeps_masks else [])]

    def read_labels(self, name: str) -> Mask:
        """Read class indices or class bits, (H, W) uint8. FoldsegError names a file that is damaged."""
        path = self._labels(name)
        labels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_GRAYSCALE)
        if labels is None:
            raise FoldsegError(f"{path}: is damaged; remove {self.folder} and give the same command again")
        return np.asarray(labels, np.uint8)

    def read(self, name: str) -> Mask | list[Rle]:
        """Read what a submission is written from: class indices or class bits or, if masks are kept, their RLE."""
        if not self.keeps_masks:
            return self.read_labels(name)
        return [encode_mask(plane > 0) for plane in self._masks.read(name)]

    @property
    def _masks(self) -> PredictionStore:
        return PredictionStore(self.folder / "masks")

    def _labels(self, name: str) -> Path:
        return self.folder / "labels" / f"{name}.png"

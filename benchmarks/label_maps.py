"""Label maps of the AI Edge contest's size and classes, for measurements: from CamVid, or from the toy city."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from foldseg.data import camvid
from foldseg.data.mask_files import read_mask
from foldseg.data.signate import LABELS
from toycity import generate_toy_city

WIDTH, HEIGHT = 1936, 1216
SPECKLED = 0.1
AI_EDGE_OF_CAMVID = {
    "sky": "sky",
    "building": "building",
    "pole": "obstacle",
    "road": "lane",
    "pavement": "sidewalk",
    "tree": "natural",
    "sign_symbol": "signal",
    "fence": "wall",
    "car": "car",
    "pedestrian": "pedestrian",
    "bicyclist": "bicycle",
}


@dataclass(frozen=True)
class Maps:
    """Label maps (H, W) uint8 of the AI Edge classes: truths, and a prediction for each (the frame that follows)."""

    truth: list[np.ndarray]
    prediction: list[np.ndarray]

    def speckled(self) -> "Maps":
        """Return the same with one pixel in ten replaced by a random class."""
        rng = np.random.default_rng(0)
        return Maps([_speckle(m, rng) for m in self.truth], [_speckle(m, rng) for m in self.prediction])


def _speckle(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.integers(0, len(LABELS), mask.shape, np.uint8)
    return np.where(rng.random(mask.shape) < SPECKLED, noise, mask)


def load_maps(root: Path, images: int) -> tuple[Maps, str]:
    """Maps, and what they were made from."""
    files = sorted((root / "trainannot").glob("*.png"))
    if len(files) > images:
        chosen = np.linspace(0, len(files) - 2, images).astype(int)
        frames = [_camvid_map(files[i + step]) for i in chosen for step in (0, 1)]
        source = f"CamVid's label maps from {root}, enlarged"
    else:
        with TemporaryDirectory() as folder:
            city = Path(folder) / "toy_city"
            generate_toy_city(city, width=WIDTH, height=HEIGHT, train_frames=2 * images, test_frames=0)
            frames = [read_mask(path, LABELS) for path in sorted(city.glob("seg_train_annotations/*.png"))]
        source = f"the toy city (no CamVid in {root})"
    return Maps(frames[::2], frames[1::2]), source


def _camvid_map(path: Path) -> np.ndarray:
    table = np.full(256, LABELS.names.index("others"), np.uint8)
    for label in camvid.LABELS.classes:
        table[list(label.raw_ids)] = LABELS.names.index(AI_EDGE_OF_CAMVID[label.name])
    ids = cv2.LUT(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), table)
    return cv2.resize(ids, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST_EXACT)

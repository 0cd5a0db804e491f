"""Three made-up data sets of users: each has other traps, and none is in a layout that foldseg knows by name."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.data.rle_text import encode_text

COLOURS = np.array([[34, 97, 38], [24, 98, 118], [178, 155, 32], [0, 0, 0]], np.uint8)
CLOUDS = ("Fish", "Flower", "Gravel")


def write_cells(root: Path, seed: int = 0) -> None:
    """Write a binary set: a folder for each image, blanks in names, masks with grey edges, five images without one."""
    rng = np.random.default_rng(seed)
    for number in range(16):
        mask = _draw_blob(96, 128, rng)
        folder = root / f"patient{number // 4}_scan {number % 4}"
        write(folder / "photo.jpg", _draw_noise(96, 128, rng) + mask[..., None] // 255 * np.uint8(80))
        write(folder / "mask.png", cv2.GaussianBlur(mask, (0, 0), 1.0))
    for number in range(5):
        write(root / f"new{number}/photo.jpg", _draw_noise(96, 128, rng))


def write_land(root: Path, seed: int = 0) -> None:
    """Write a set of RGB masks: images of several sizes, official splits, the same names in train and test."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", 12), ("val", 4), ("test", 3)):
        for number in range(count):
            size = int(rng.integers(72, 110)), int(rng.integers(80, 140))
            classes = cv2.resize(rng.integers(0, 4, (4, 5), np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
            rgb = COLOURS[classes]
            write(root / f"{split}/Images/T{number:03}.TIF", (rgb // 2 + _draw_noise(*size, rng) // 2)[..., ::-1])
            if split != "test":
                write(root / f"{split}/Ground_Truth/T{number:03}_gt.png", rgb[..., ::-1])


def write_sky(root: Path, seed: int = 0) -> None:
    """Write a run-length contest: classes that overlap, a table with stations, a sample of the submission."""
    rng = np.random.default_rng(seed)
    rows, sample, stations = ["Image_Label,EncodedPixels"], ["Image_Label,EncodedPixels"], ["image,station"]
    for number in range(20):
        image, name = _draw_noise(84, 126, rng), f"{rng.integers(1 << 32):08x}.jpg"
        is_test = number >= 16
        for channel, label in enumerate(CLOUDS):
            mask = _draw_blob(84, 126, rng) * np.uint8(rng.random() < 0.7)
            image[..., channel] += mask // 255 * np.uint8(70)
            rows += [f"{name}_{label},{encode_text(mask > 0)}"] if not is_test else []
            sample += [f"{name}_{label},1 1"] if is_test else []
        stations += [f"{name},st{number // 4}"] if not is_test else []
        write(root / f"{'test' if is_test else 'train'}_images" / name, image)
    for name, lines in (("train.csv", rows), ("sample_submission.csv", sample), ("stations.csv", stations)):
        (root / name).write_text("\n".join(lines) + "\n")


def write(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a BGR or grey picture, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def _draw_noise(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    coarse = rng.integers(40, 150, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _draw_blob(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    centre = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
    cv2.ellipse(mask, centre, (int(rng.integers(10, 24)), int(rng.integers(8, 18))), 0, 0, 360, 255, -1)
    return mask

"""The mean and the standard deviation of the channels of images, with which a network normalises them."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from foldseg.config.schema import Pictures
from foldseg.data.reading import read_image

logger = logging.getLogger(__name__)

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel of images, in 0..1."""

_SMALLEST_DEVIATION = 1 / 255
"""A channel that hardly changes is not enlarged by more than this would do."""


def measure_statistics(images: Sequence[Path], pictures: Pictures) -> Statistics:
    """Return the statistics of all pixels of image files. Every file is read once, one at a time for each core.

    FoldsegError for a damaged file.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = pool.map(partial(_count_values, pictures=pictures), images)
        counts = np.zeros((pictures.channels, 256), np.int64)
        for image_counts in tqdm(steps, total=len(images), desc="statistics", unit="image", leave=False, disable=None):
            counts += image_counts
    values, pixels = np.arange(256) / 255, counts.sum(1)
    mean = counts @ values / pixels
    variance = counts @ values**2 / pixels - mean**2
    deviation = np.sqrt(variance.clip(min=0)).clip(min=_SMALLEST_DEVIATION)
    statistics = tuple(mean.round(6).tolist()), tuple(deviation.round(6).tolist())
    logger.info("%d images: mean %s, standard deviation %s of each channel", len(images), *map(_format, statistics))
    return statistics


def _count_values(path: Path, pictures: Pictures) -> NDArray[np.int64]:
    """Return how many pixels of an image have each value: (channels, 256)."""
    image = read_image(path, pictures)
    return np.stack([np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(image.shape[2])])


def _format(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.3f}" for number in numbers)

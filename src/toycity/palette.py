"""The classes of the toy city: those of the AI Edge contest, in its order and colours."""

import numpy as np
from numpy.typing import NDArray

COLOURS: dict[str, tuple[int, int, int]] = {
    "car": (0, 0, 255),
    "pedestrian": (255, 0, 0),
    "lane": (69, 47, 142),
    "bus": (193, 214, 0),
    "truck": (180, 0, 129),
    "svehicle": (255, 121, 166),
    "motorbike": (65, 166, 1),
    "bicycle": (208, 149, 1),
    "signal": (255, 255, 0),
    "signs": (255, 134, 0),
    "sky": (0, 152, 225),
    "building": (0, 203, 151),
    "natural": (85, 255, 50),
    "wall": (92, 136, 125),
    "ground": (136, 45, 66),
    "sidewalk": (0, 255, 255),
    "roadshoulder": (215, 0, 255),
    "obstacle": (180, 131, 135),
    "others": (81, 99, 0),
    "own": (86, 62, 67),
}

LABEL: dict[str, int] = {name: number for number, name in enumerate(COLOURS)}


def label_colours() -> NDArray[np.uint8]:
    """Return the RGB colour of every label number: (classes, 3) uint8."""
    return np.array(list(COLOURS.values()), dtype=np.uint8)

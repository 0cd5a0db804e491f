"""The numbers that the contest's classes have while a frame is painted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foldseg.data.signate import SIGNATE_COLOURS

LABEL: dict[str, int] = {name: number for number, name in enumerate(SIGNATE_COLOURS)}


def label_colours() -> NDArray[np.uint8]:
    """Return the RGB colour of every label number: (classes, 3)."""
    return np.array(list(SIGNATE_COLOURS.values()), dtype=np.uint8)

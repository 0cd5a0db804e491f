"""EXIF's orientations of a picture: how stored pixels are turned, and turned back."""

from typing import Any

import cv2

_MIRRORED = (2, 4, 5, 7)
"""Those of EXIF's orientations that are mirrored."""
_ROTATIONS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_COUNTERCLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
"""EXIF's orientation -> the rotation that makes a picture upright, after mirroring."""
_INVERSE_ORIENTATIONS = {6: 8, 8: 6}
"""The orientation that undoes another one; all others undo themselves."""


def make_upright(picture: Any, orientation: int) -> Any:
    """Turn pixels that are stored in one of EXIF's orientations, 1 to 8."""
    if orientation in _MIRRORED:
        picture = cv2.flip(picture, 1)
    if orientation in _ROTATIONS:
        picture = cv2.rotate(picture, _ROTATIONS[orientation])
    return picture


def turn_back(picture: Any, orientation: int) -> Any:
    """Undo `make_upright`."""
    return make_upright(picture, _INVERSE_ORIENTATIONS.get(orientation, orientation))

"""Colours for classes whose source gives them none."""

import colorsys
from collections.abc import Sequence

from foldseg.importing.annotations import Colour

_GOLDEN_ANGLE = 0.618034
"""Hues at this distance on the circle are different for any number of classes."""


def fill_in_colours(colours: Sequence[Colour | None]) -> list[Colour]:
    """Return the colours, with new and distinct ones in place of None. They depend on the position alone."""
    taken = {colour for colour in colours if colour is not None}
    filled = []
    for position, colour in enumerate(colours):
        number = position
        while colour is None or (colours[position] is None and colour in taken):
            lightness = (1.0, 0.75, 0.55)[number // 8 % 3]
            red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN_ANGLE % 1, 0.85, lightness)
            colour, number = (round(red * 255), round(green * 255), round(blue * 255)), number + 1
        taken.add(colour)
        filled.append(colour)
    return filled

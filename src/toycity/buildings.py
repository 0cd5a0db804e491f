"""Painting the houses along the street: fronts, end walls, windows, roofs, shop fronts."""

import numpy as np
from numpy.typing import NDArray

from toycity.canvas import NEAR, Painter, Points
from toycity.palette import LABEL
from toycity.scene import Building
from toycity.style import RGB

_BASE = 0.15  # the sidewalk is this much above the road
_STOREY = 3.2


def paint_building(painter: Painter, house: Building) -> None:
    """Paint one house; call for far houses first."""
    camera = painter.camera
    middle, reach = 0.5 * (house.z0 + house.z1), 0.5 * (house.z1 - house.z0) + house.depth
    if house.z1 - camera.z < NEAR + 0.2 or not camera.is_in_view(house.x, middle, reach):
        return
    rng = np.random.default_rng(house.seed)
    outward = float(house.side)
    front_start = np.array([house.x, _BASE, house.z0])
    front_way = np.array([0.0, 0.0, 1.0])
    end_way = np.array([outward, 0.0, 0.0])
    if house.gabled:
        _roof(painter, house, rng)
    # Both walls draw the same random numbers whether or not they are in view: the front must look the same
    # from frame to frame.
    styles = rng.integers(0, 4, size=2)
    seeds = rng.integers(0, 2**31, size=2)
    if house.z0 - camera.z > NEAR:
        wall = _Wall(house, front_start, end_way, house.depth, (0.0, 0.0, -1.0))
        wall.paint(painter, int(styles[1]), int(seeds[1]), shop=False)
    wall = _Wall(house, front_start, front_way, house.z1 - house.z0, (-outward, 0.0, 0.0))
    wall.paint(painter, int(styles[0]), int(seeds[0]), shop=not house.gabled)


class _Wall:
    """An upright wall: from a corner `start` (x, y, z), `length` metres along the unit vector `way`."""

    def __init__(self, house: Building, start: Points, way: Points, length: float, normal: RGB) -> None:
        self.house, self.start, self.way, self.length, self.normal = house, start, way, length, normal

    def paint(self, painter: Painter, style: int, seed: int, shop: bool) -> None:
        """Paint the wall with windows (style 0 plain, 1 ribbons, 2 balconies, 3 mostly glass)."""
        rng = np.random.default_rng(seed)
        height, label = self.house.height, LABEL["building"]
        painter.surface(self.panels(1, 1, 0.0, height, 1.0, 1.0), self.house.colour, label, self.normal)
        trim = _times(self.house.colour, float(rng.uniform(0.7, 1.25)))
        painter.surface(self.panels(1, 1, height - 0.5, height, 1.0, 1.0), trim, label, self.normal)
        low = 3.6 if shop else 0.4
        floors = max(1, int((height - low - 0.4) / _STOREY))
        columns = max(1, int(self.length / float(rng.uniform(2.0, 3.4))))
        top = low + floors * _STOREY
        if top > height:
            top = height - 0.3
        if columns * floors > 1 and self._pane(painter, columns) < 0.5:
            return  # windows too narrow to be seen
        wide, high = ((0.55, 0.5), (0.96, 0.42), (0.7, 0.62), (0.9, 0.78))[style]
        if style == 2:
            rails = self.panels(1, floors, low - 1.2, top - 1.2, 1.0, 0.3)
            painter.surface(rails, _times(self.house.colour, 1.18), label, self.normal)
        windows = self.panels(columns, floors, low, top, wide, high)
        self._windows(painter, windows, rng)
        if shop:
            self._shop(painter, rng)

    def panels(self, columns: int, rows: int, low: float, high: float, wide: float, tall: float) -> NDArray[np.float64]:
        """Return a grid of rectangles (columns * rows, 4, 3) that fill the given shares of their cells."""
        pitch, storey = self.length / columns, (high - low) / rows
        s = (np.arange(columns) + 0.5 * (1.0 - wide))[:, None, None] * pitch
        y = low + (np.arange(rows) + 0.5 * (1.0 - tall))[None, :, None] * storey
        s = s + np.array([0.0, wide * pitch, wide * pitch, 0.0])
        y = y + np.array([0.0, 0.0, tall * storey, tall * storey])
        s, y = np.broadcast_arrays(s, y)
        points = self.start + s[..., None] * self.way
        points[..., 1] += y
        return points.reshape(-1, 4, 3)

    def _pane(self, painter: Painter, columns: int) -> float:
        """Return about how many pixels wide a column of windows appears."""
        ends = np.stack([self.start, self.start + self.length * self.way])
        pixels = painter.camera.project(ends)
        return float(abs(pixels[1, 0] - pixels[0, 0])) / columns

    def _windows(self, painter: Painter, windows: NDArray[np.float64], rng: np.random.Generator) -> None:
        """Paint window panes in a few tints of glass; some are lit."""
        light, label = painter.light, LABEL["building"]
        draw = rng.random(len(windows))
        kind = rng.integers(0, 3, size=len(windows))
        lit = draw < light.lit
        sky = (0.5 * light.zenith[0], 0.5 * light.zenith[1], 0.5 * light.zenith[2])
        glass: tuple[RGB, ...] = ((58.0, 66.0, 76.0), (84.0, 94.0, 104.0), sky)
        depth = painter.camera.depth(float(windows[:, 0, 2].mean()))
        pixels = painter.camera.project(windows)
        for number, tint in enumerate(glass):
            colour = light.shade(tint, self.normal, depth, 0.15)
            painter.canvas.fill(pixels[(kind == number) & ~lit], colour, label)
        if not lit.any():
            return
        lamps: tuple[RGB, ...] = ((236.0, 200.0, 128.0), (214.0, 214.0, 196.0), (150.0, 122.0, 76.0))
        for number, tint in enumerate(lamps):
            colour = light.shade(tint, self.normal, depth, 0.8)
            painter.canvas.fill(pixels[(kind == number) & lit], colour, label)

    def _shop(self, painter: Painter, rng: np.random.Generator) -> None:
        """Paint the ground floor as shops: glass, with a coloured band of lettering above."""
        label, night = LABEL["building"], painter.light.is_night
        shops = max(1, int(self.length / 6.0))
        glass = self.panels(shops, 1, 0.1, 2.7, 0.86, 1.0)
        band = self.panels(shops, 1, 2.8, 3.5, 0.94, 1.0)
        for number in range(shops):
            tint = rng.uniform(40.0, 225.0, size=3)
            inside = rng.uniform(60.0, 130.0) * np.array([1.0, 0.95, 0.85])
            is_open = bool(rng.random() < 0.6)
            if night and is_open:
                inside = np.array([226.0, 208.0, 170.0])
            painter.surface(glass[number], _rgb(inside), label, self.normal, 0.75 if night and is_open else 0.1)
            painter.surface(band[number], _rgb(tint), label, self.normal, 0.6 if night and is_open else 0.0)


def _roof(painter: Painter, house: Building, rng: np.random.Generator) -> None:
    """Paint a gabled roof whose ridge runs along the street, and the gable that faces the camera."""
    tints = ((92, 78, 74), (110, 66, 54), (70, 76, 88), (84, 84, 82))
    tint = _times(tints[int(rng.integers(len(tints)))], float(rng.uniform(0.85, 1.15)))
    side, rise = float(house.side), float(rng.uniform(1.6, 2.6))
    eaves, ridge = house.x - 0.5 * side, house.x + 0.5 * house.depth * side
    low, high = house.height + _BASE - 0.15, house.height + rise
    z0, z1 = house.z0 - 0.4, house.z1 + 0.4
    if z0 - painter.camera.z > NEAR:
        back = house.x + (house.depth + 0.5) * side
        gable = np.array([[eaves, low, z0], [back, low, z0], [ridge, high, z0]])
        painter.surface(gable, house.colour, LABEL["building"], (0.0, 0.0, -1.0))
    slope = np.array([[eaves, low, z0], [eaves, low, z1], [ridge, high, z1], [ridge, high, z0]])
    painter.surface(slope, tint, LABEL["building"], (-0.5 * side, 0.86, 0.0))


def _times(colour: tuple[float, float, float], factor: float) -> RGB:
    return min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor)


def _rgb(values: NDArray[np.float64]) -> RGB:
    return float(values[0]), float(values[1]), float(values[2])

"""Painting vehicles: boxes and frustums with windows, wheels and lights, seen from any side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toycity.canvas import NEAR, Painter
from toycity.palette import LABEL
from toycity.style import RGB
from toycity.traffic import Thing

Corners = Sequence[tuple[float, float, float]]

_RING = tuple((float(np.cos(t)), float(np.sin(t))) for t in np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False))


@dataclass(frozen=True)
class Shape:
    """The measures of a kind of vehicle, in metres.

    The cabin stands on the body at height `belt`: from base[0] to base[1] along the car (0 is the middle,
    positive is ahead), from top[0] to top[1] at the roof.
    """

    label: str
    length: float
    width: float
    belt: float
    height: float
    base: tuple[float, float]
    top: tuple[float, float]
    wheel: float = 0.32


SHAPES: dict[str, Shape] = {
    "sedan": Shape("car", 4.5, 1.76, 0.88, 1.45, (-1.75, 1.05), (-1.05, 0.3)),
    "wagon": Shape("car", 4.5, 1.78, 0.92, 1.6, (-2.1, 1.1), (-1.85, 0.35)),
    "kei": Shape("car", 3.4, 1.48, 0.92, 1.7, (-1.6, 1.25), (-1.5, 0.85), 0.28),
    "van": Shape("car", 4.7, 1.72, 1.05, 1.95, (-2.25, 1.9), (-2.15, 1.35)),
    "special": Shape("svehicle", 5.4, 1.9, 1.15, 2.4, (-2.65, 2.3), (-2.55, 1.7), 0.36),
    "bus": Shape("bus", 10.5, 2.45, 1.15, 3.0, (-5.2, 5.2), (-5.15, 5.05), 0.46),
    "truck": Shape("truck", 6.6, 2.15, 1.3, 2.5, (1.5, 3.25), (1.6, 3.0), 0.42),
}


class _Model:
    """A vehicle in the street: paints parts given in its own axes (ahead, right, up)."""

    def __init__(self, painter: Painter, thing: Thing, shape: Shape) -> None:
        self.painter, self.thing, self.shape = painter, thing, shape
        self.label = LABEL[shape.label]
        self.sin, self.cos = float(np.sin(thing.heading)), float(np.cos(thing.heading))

    def part(self, local: Corners, normal: RGB, albedo: RGB, glow: float = 0.0) -> None:
        """Paint a flat part (N corners) if its outer side faces the camera.

        It has few corners: plain numbers are faster here than arrays.
        """
        seen = self.facing(local[0], normal)
        if seen is None:
            return
        outer, depth = seen
        size, sin, cos, thing, camera = self.thing.size, self.sin, self.cos, self.thing, self.painter.camera
        pixels = []
        for ahead, right, up in local:
            away = max(thing.z + size * (ahead * cos - right * sin) - camera.z, NEAR)
            aside = thing.x + size * (ahead * sin + right * cos) - camera.x + camera.bend * away * away
            scale = camera.focal / away
            pixels.append((camera.cx + scale * aside, camera.cy + scale * (camera.eye - size * up)))
        colour = self.painter.light.shade(albedo, outer, max(depth, NEAR), glow)
        self.painter.canvas.fill([np.array(pixels)], colour, self.label)

    def facing(self, point: tuple[float, float, float], normal: RGB) -> tuple[RGB, float] | None:
        """Return the world normal and depth of a surface through `point`; None if it faces away."""
        size, sin, cos, thing, camera = self.thing.size, self.sin, self.cos, self.thing, self.painter.camera
        outer = (normal[0] * sin + normal[1] * cos, normal[2], normal[0] * cos - normal[1] * sin)
        ahead, right, up = point[0] * size, point[1] * size, point[2] * size
        depth = thing.z + ahead * cos - right * sin - camera.z
        # A bent street shifts what is far away to the side, so that more of its flank shows.
        aside = thing.x + ahead * sin + right * cos - camera.x + camera.bend * max(depth, 0.0) ** 2
        seen = outer[0] * -aside + outer[1] * (camera.eye - up) - outer[2] * depth > 0.0
        return (outer, depth) if seen else None

    def end(self, at: float, b0: float, b1: float, low: float, high: float, albedo: RGB, glow: float = 0.0) -> None:
        """Paint an upright rectangle across the vehicle at `at` ahead; it faces ahead if `at` is positive."""
        corners = ((at, b0, low), (at, b1, low), (at, b1, high), (at, b0, high))
        self.part(corners, (1.0 if at > 0 else -1.0, 0.0, 0.0), albedo, glow)

    def flank(self, a0: float, a1: float, b: float, low: float, high: float, albedo: RGB) -> None:
        """Paint an upright rectangle along the vehicle, `b` to its right; it faces outward."""
        corners = ((a0, b, low), (a1, b, low), (a1, b, high), (a0, b, high))
        self.part(corners, (0.0, 1.0 if b > 0 else -1.0, 0.0), albedo)

    def box(self, a0: float, a1: float, half: float, low: float, high: float, albedo: RGB) -> None:
        """Paint a box: its top, flanks and ends."""
        top = ((a0, -half, high), (a1, -half, high), (a1, half, high), (a0, half, high))
        self.part(top, (0.0, 0.0, 1.0), albedo)
        for b in (-half, half):
            self.flank(a0, a1, b, low, high, albedo)
        for at, sign in ((a0, -1.0), (a1, 1.0)):
            corners = ((at, -half, low), (at, half, low), (at, half, high), (at, -half, high))
            self.part(corners, (sign, 0.0, 0.0), albedo)

    def cabin(self, albedo: RGB, glass: RGB) -> None:
        """Paint the cabin, whose walls lean inward, and its windows."""
        shape = self.shape
        low, high, tall = shape.width / 2 - 0.03, shape.width / 2 - 0.16, shape.height - shape.belt
        roof = [(shape.top[k], b, shape.height) for k, b in ((0, -high), (1, -high), (1, high), (0, high))]
        self.part(roof, (0.0, 0.0, 1.0), albedo)
        for side in (-1.0, 1.0):
            wall = (
                (shape.base[0], side * low, shape.belt),
                (shape.base[1], side * low, shape.belt),
                (shape.top[1], side * high, shape.height),
                (shape.top[0], side * high, shape.height),
            )
            if self.facing(wall[0], (0.0, side, 0.13 / tall)) is None:
                continue
            self.part(wall, (0.0, side, 0.13 / tall), albedo)
            for a, b in ((0.05, 0.49), (0.53, 0.95)):
                self.part(_inset(wall, a, b, 0.08, 0.8), (0.0, side, 0.13 / tall), glass, 0.1)
        for k, sign in ((0, -1.0), (1, 1.0)):
            wall = (
                (shape.base[k], -low, shape.belt),
                (shape.base[k], low, shape.belt),
                (shape.top[k], high, shape.height),
                (shape.top[k], -high, shape.height),
            )
            lean = abs(shape.base[k] - shape.top[k]) / tall
            if self.facing(wall[0], (sign, 0.0, lean)) is None:
                continue
            self.part(wall, (sign, 0.0, lean), albedo)
            self.part(_inset(wall, 0.07, 0.93, 0.06, 0.84), (sign, 0.0, lean), glass, 0.1)

    def wheels(self) -> None:
        """Paint the wheels on both flanks."""
        shape, radius = self.shape, self.shape.wheel
        if radius * self.painter.scale(self.thing.z) < 0.6:
            return  # less than a pixel
        for side in (-1.0, 1.0):
            if self.facing((0.0, side * shape.width / 2, radius), (0.0, side, 0.0)) is None:
                continue
            for a in (-0.31 * shape.length, 0.31 * shape.length):
                for size, tint in ((radius, (26.0, 26.0, 28.0)), (0.58 * radius, (140.0, 142.0, 146.0))):
                    ring = [(a + size * cos, side * shape.width / 2, radius + size * sin) for cos, sin in _RING]
                    self.part(ring, (0.0, side, 0.0), tint)

    def ends(self, night: bool, braking: bool) -> None:
        """Paint lamps, plates, grille and the tyres as seen from ahead and behind."""
        shape = self.shape
        half, tail = shape.width / 2, shape.length / 2 + 0.01
        small = shape.height * self.painter.scale(self.thing.z) < 7.0  # pixels; then only the lamps matter
        grille = 0.5 * (shape.belt + 0.3)
        if not small:
            self.end(tail, -0.5 * half, 0.5 * half, grille - 0.12, grille + 0.1, (34.0, 34.0, 36.0))
        for at, tint, shine in (
            (-tail, (196.0, 22.0, 20.0), 0.9 if night or braking else 0.0),
            (tail, (244.0, 242.0, 226.0), 1.0 if night else 0.2),
        ):
            bright = (255.0, 40.0, 30.0) if at < 0 and shine > 0.5 else tint
            for side in (-1.0, 1.0):
                middle = side * 0.795 * half
                self.end(
                    at,
                    middle - 0.175 * half,
                    middle + 0.175 * half,
                    shape.belt - 0.26,
                    shape.belt - 0.08,
                    bright,
                    shine,
                )
                if small:
                    continue
                self.end(at, middle - 0.13 * half, middle + 0.13 * half, 0.0, 0.28, (20.0, 20.0, 22.0))
            if small:
                continue
            self.end(at, -0.2, 0.2, 0.42, 0.58, (214.0, 214.0, 206.0), 0.1)
            self.end(at, -half, half, 0.2, 0.34, (52.0, 52.0, 54.0))


def paint_vehicle(painter: Painter, thing: Thing) -> None:
    """Paint any vehicle."""
    shape = SHAPES[thing.kind]
    if thing.z + shape.length / 2 < painter.camera.z + 1.2:
        return
    rng = np.random.default_rng(thing.seed)
    model = _Model(painter, thing, shape)
    body = thing.colour
    glass: RGB = (46.0, 54.0, 62.0) if rng.random() < 0.6 else (86.0, 100.0, 112.0)
    half, braking = shape.width / 2, bool(rng.random() < 0.3)
    if thing.kind == "special":
        body = (232.0, 232.0, 232.0)
    model.box(-shape.length / 2 + 0.1, shape.length / 2 - 0.1, half - 0.08, 0.14, 0.3, (24.0, 24.0, 26.0))
    if thing.kind == "truck":
        _paint_truck(model, rng, body, glass)
    else:
        model.box(-shape.length / 2, shape.length / 2, half, 0.24, shape.belt, body)
    if thing.kind == "special":
        for b in (-half - 0.01, half + 0.01):
            model.flank(-shape.length / 2, shape.length / 2, b, 0.78, 1.02, (196.0, 24.0, 24.0))
        model.end(-shape.length / 2 - 0.01, -half, half, 0.82, 1.06, (196.0, 24.0, 24.0))
        model.end(shape.length / 2 + 0.01, -half, half, 0.92, 1.06, (196.0, 24.0, 24.0))
    if thing.kind == "bus":
        stripe = (float(rng.uniform(30, 220)), float(rng.uniform(30, 220)), float(rng.uniform(30, 220)))
        for b in (-half - 0.01, half + 0.01):
            model.flank(-shape.length / 2, shape.length / 2, b, 0.6, 0.85, stripe)
    if thing.kind != "truck":
        model.cabin(body, glass)
    model.wheels()
    model.ends(painter.light.is_night, braking)
    if thing.kind == "special":
        model.box(1.2, 1.5, 0.6, shape.height, shape.height + 0.16, (226.0, 30.0, 30.0))


def _paint_truck(model: _Model, rng: np.random.Generator, body: RGB, glass: RGB) -> None:
    """Paint a truck: the part farther from the camera first, be it the cab or the load."""
    shape = model.shape
    load: RGB = (206.0, 208.0, 208.0) if rng.random() < 0.6 else (124.0, 138.0, 156.0)
    tall, half = float(rng.uniform(2.4, 3.1)), shape.width / 2

    def paint_cab() -> None:
        model.box(1.5, shape.length / 2, half, 0.35, shape.belt, body)
        model.cabin(body, glass)

    def paint_load() -> None:
        model.box(-shape.length / 2, 1.4, half, 0.75, tall, load)
        model.box(-shape.length / 2, 1.4, half - 0.15, 0.35, 0.75, (58.0, 58.0, 60.0))
        model.end(-shape.length / 2 - 0.01, -0.03, 0.03, 0.75, tall, (90.0, 90.0, 90.0))

    first, second = (paint_cab, paint_load) if np.cos(model.thing.heading) >= 0 else (paint_load, paint_cab)
    first()
    second()


def _inset(quad: Corners, a: float, b: float, low: float, high: float) -> Corners:
    """Return the part of a quad between shares a and b of its length, low and high of its height."""
    corners = []
    for s, t in ((a, low), (b, low), (b, high), (a, high)):
        shares = ((1 - t) * (1 - s), (1 - t) * s, t * s, t * (1 - s))
        x, y, z = (sum(share * point[axis] for share, point in zip(shares, quad, strict=True)) for axis in range(3))
        corners.append((x, y, z))
    return corners

"""What stands or moves where in the street of a drive. All lengths are in metres."""

from dataclasses import dataclass

import numpy as np

from toycity.canvas import Camera
from toycity.style import RGB, STYLES, Light, Style, make_light
from toycity.traffic import Thing, place_traffic

CROSS_ROAD = 9.0  # width of the street that crosses at a junction
_END = 125.0  # the street is furnished this far ahead

# Facade colours; the greys among them are close to those of road and sidewalk.
_FACADES: tuple[RGB, ...] = (
    (178, 172, 164),
    (150, 148, 146),
    (196, 184, 160),
    (128, 98, 84),
    (214, 210, 204),
    (112, 120, 130),
    (168, 148, 128),
    (140, 146, 138),
    (96, 92, 92),
    (190, 176, 176),
    (160, 110, 90),
)


@dataclass(frozen=True)
class Building:
    """A house: its front at x, between z0 and z1, `depth` deep away from the street."""

    side: int  # -1 left, 1 right
    x: float
    z0: float
    z1: float
    height: float
    depth: float
    gabled: bool
    colour: RGB
    seed: int


@dataclass(frozen=True)
class Scene:
    """The street of a drive with everything in it, and how the camera moves through it."""

    style: Style
    light: Light
    seed: tuple[int, ...]
    buildings: tuple[Building, ...]
    things: tuple[Thing, ...]
    junction: float | None  # z where the crossing street begins
    crossings: tuple[float, ...]  # z where each zebra crossing begins; each is 3 m wide
    horizon: float  # image heights from the top
    aim: float  # vanishing point, image heights right of the middle
    focal: float  # image heights
    eye: float
    lane_x: float
    speed: float  # metres per frame
    bend: float

    def camera(self, step: int, width: int, height: int) -> Camera:
        """Return the camera of the drive's frame number `step`, for a picture of width x height pixels."""
        return Camera(
            width=width,
            height=height,
            focal=self.focal * height,
            cx=width / 2 + self.aim * height,
            cy=self.horizon * height,
            eye=self.eye,
            x=self.lane_x,
            z=self.speed * step,
            bend=self.bend,
        )


def build_scene(seed: int, split: int, drive: int, route: str, timeofday: str) -> Scene:
    """Return a made-up scene for a drive. It depends on the arguments alone."""
    rng = np.random.default_rng([seed, split, 1, drive])
    style = STYLES[route]
    light = make_light(rng, timeofday)
    junction = float(rng.uniform(11.0, 30.0)) if rng.random() < style.junction else None
    crossings: tuple[float, ...] = ()
    if junction is not None:
        crossings = (junction - 4.5, junction + CROSS_ROAD + 1.5)
    elif rng.random() < 0.35:
        crossings = (float(rng.uniform(10.0, 28.0)),)
    lane_width = 2 * style.road_half / style.lanes
    lane = int(rng.integers(1, style.lanes // 2 + 1))  # 1: next to the centre line; traffic keeps left
    lane_x = -lane_width * (lane - 0.5)
    things = _furniture(rng, style, junction, crossings)
    things += place_traffic(rng, style, lane_x, junction, crossings)
    return Scene(
        style=style,
        light=light,
        seed=(seed, split, 3, drive),
        buildings=tuple(_buildings(rng, style, junction)),
        things=tuple(things),
        junction=junction,
        crossings=crossings,
        horizon=float(rng.uniform(0.47, 0.52)),
        aim=float(rng.normal(0.0, 0.05)),
        focal=float(rng.uniform(0.9, 1.02)),
        eye=float(rng.uniform(1.3, 1.45)),
        lane_x=lane_x + float(rng.normal(0.0, 0.2)),
        speed=float(rng.uniform(0.4, 1.2)),
        bend=float(rng.normal(0.0, 0.0012)) if rng.random() < 0.5 else 0.0,
    )


def is_in_junction(z: float, junction: float | None, margin: float = 0.0) -> bool:
    """Return whether a z lies in the crossing street, or within a margin of it."""
    return junction is not None and junction - margin < z < junction + CROSS_ROAD + margin


def _buildings(rng: np.random.Generator, style: Style, junction: float | None) -> list[Building]:
    """Line both sides of the street with houses, leaving out the crossing street and some plots."""
    houses: list[Building] = []
    plot = style.road_half + style.shoulder + style.sidewalk + style.setback
    for side in (-1, 1):
        z = -12.0 + float(rng.uniform(0.0, 6.0))
        # Heights drift along a street rather than jump about.
        level = float(rng.uniform(0.15, 0.7))
        while z < _END:
            length = float(rng.uniform(*style.fronts))
            end = z + length
            if junction is not None and z < junction + CROSS_ROAD + 2.0 and end > junction - 2.0:
                end = junction - 2.0
                if end - z < 4.0:
                    z = junction + CROSS_ROAD + 2.0
                    continue
            level = float(np.clip(level + rng.normal(0.0, 0.22), 0.0, 1.0))
            low, high = style.heights
            tint = np.array(_FACADES[int(rng.integers(len(_FACADES)))]) * rng.uniform(0.85, 1.12)
            front = plot + float(rng.uniform(0.0, 0.8))
            houses.append(
                Building(
                    side=side,
                    x=side * front,
                    z0=z,
                    z1=end,
                    height=low + (high - low) * level**1.6,
                    depth=float(rng.uniform(7.0, 14.0)),
                    gabled=style.houses and bool(rng.random() < 0.75),
                    colour=(float(tint[0]), float(tint[1]), float(tint[2])),
                    seed=int(rng.integers(2**31)),
                )
            )
            z = end + (float(rng.uniform(3.0, 14.0)) if rng.random() < style.gap else float(rng.uniform(0.05, 0.6)))
    return houses


def _furniture(
    rng: np.random.Generator, style: Style, junction: float | None, crossings: tuple[float, ...]
) -> list[Thing]:
    """Place what stands still: signals, signs, lamps, trees, hedges, walls, rails, cones."""
    things = _signals(rng, style, junction, crossings)
    kerb = style.road_half + style.shoulder
    for side in (-1, 1):
        x_kerb, x_front = side * (kerb + 0.45), side * (kerb + style.sidewalk + 0.2)
        for z in np.arange(float(rng.uniform(2.0, 20.0)), _END, float(rng.uniform(22.0, 32.0))):
            kind = "lamp" if not style.houses else "pole"
            things.append(_thing(rng, kind, x_kerb, float(z)))
        for _ in range(int(rng.poisson(style.trees * 1.2))):
            z = float(rng.uniform(4.0, 120.0))
            beyond = float(rng.uniform(1.0, 7.0)) if style.houses else 0.0
            x = side * (abs(x_front) + beyond) if style.houses else x_kerb + side * 0.5
            if not is_in_junction(z, junction, 5.0):
                things.append(_thing(rng, "tree", x, z))
        for _ in range(int(rng.poisson(1.7))):
            things.append(_thing(rng, "sign", x_kerb, float(rng.triangular(6.0, 9.0, 80.0))))
        things += _stretches(rng, style, side, junction)
        if rng.random() < 0.14:
            first, at = float(rng.uniform(5.0, 18.0)), side * (style.road_half - float(rng.uniform(0.0, 0.8)))
            for k in range(int(rng.integers(2, 7))):
                things.append(_thing(rng, "cone", at, first + 1.6 * k))
    if not style.houses and rng.random() < 0.5:
        things.append(_thing(rng, "board", -kerb, float(rng.uniform(35.0, 60.0))))
    return things


def _stretches(rng: np.random.Generator, style: Style, side: int, junction: float | None) -> list[Thing]:
    """Place hedges and walls along the house fronts and guard rails along the kerb, in pieces of 4 m."""
    things: list[Thing] = []
    kerb = style.road_half + style.shoulder
    kind, rail = "wall", bool(rng.random() < style.rails)
    for number, z in enumerate(np.arange(-2.0, 100.0, 4.0)):
        if number % 4 == 0:
            draw = rng.random()
            kind = "" if draw > style.hedges else ("hedge" if draw < 0.55 * style.hedges else "wall")
        if is_in_junction(float(z) + 2.0, junction, 7.0):
            continue
        if kind:
            things.append(_thing(rng, kind, side * (kerb + style.sidewalk), float(z)))
        if rail and number % 6 != 0:
            things.append(_thing(rng, "rail", side * (kerb + 0.2), float(z)))
    return things


def _signals(
    rng: np.random.Generator, style: Style, junction: float | None, crossings: tuple[float, ...]
) -> list[Thing]:
    """Place the signals of the junction: over the road behind it, beside it, and those for pedestrians."""
    if not crossings:
        return []
    kerb = style.road_half + style.shoulder
    state = int(rng.integers(0, 6))  # even: green, 1 and 5: red, 3: amber
    red = state in (1, 5)
    far = crossings[-1] + 4.0 if junction is not None else crossings[0] + 3.5
    reach = min(kerb, 4.5)
    things = [Thing("signal", -kerb - 0.6, far, size=reach, seed=state)]
    if rng.random() < 0.75:
        things.append(Thing("signal", kerb + 0.6, far, heading=1.0, size=reach * 0.8, seed=state))
    if junction is not None and rng.random() < 0.45:
        things.append(Thing("post signal", -kerb - 0.5, crossings[0] - 0.8, seed=state))
    for z in (crossings[0] + 3.4, crossings[-1] + 3.4):
        for side in (-1.0, 1.0):
            if rng.random() < 0.4:
                things.append(Thing("walk signal", side * (kerb + 0.9), z, seed=0 if red else 1))
    if rng.random() < 0.5:
        again = far + float(rng.uniform(25.0, 50.0))
        things.append(Thing("signal", -kerb - 0.6, again, size=reach, seed=int(rng.integers(0, 6))))
    return things


def _thing(rng: np.random.Generator, kind: str, x: float, z: float) -> Thing:
    """Return something that stands still, its look given by a seed of its own."""
    return Thing(kind, x, z, size=float(rng.uniform(0.85, 1.2)), seed=int(rng.integers(2**31)))

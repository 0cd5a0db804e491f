"""What the three routes are like, and the light of the three times of day."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """A route. Lengths in metres; the counts are means per 100 m of street."""

    road_half: float  # centre line to the outer edge of the outer lane
    lanes: int  # both directions together
    shoulder: float
    sidewalk: float
    setback: float  # sidewalk to house front
    heights: tuple[float, float]
    fronts: tuple[float, float]  # length of a house along the street
    gap: float  # chance of an empty plot after a house
    houses: bool  # gabled houses rather than flat blocks
    trees: float
    driving: float
    parked: float
    pedestrians: float
    cycles: float
    junction: float  # chance of a junction with signals
    bonnet: float  # height of the own bonnet, in image heights; 0: not in view
    hedges: float  # chance that a stretch of the building line has a hedge or wall
    rails: float  # chance of a guard rail at the kerb


STYLES: dict[str, Style] = {
    "Tokyo1": Style(
        road_half=6.4,
        lanes=4,
        shoulder=0.6,
        sidewalk=4.0,
        setback=0.0,
        heights=(10, 46),
        fronts=(9, 22),
        gap=0.08,
        houses=False,
        trees=5,
        driving=9,
        parked=4,
        pedestrians=13,
        cycles=1.0,
        junction=0.86,
        bonnet=0.06,
        hedges=0.12,
        rails=0.5,
    ),
    "Tokyo2": Style(
        road_half=3.5,
        lanes=2,
        shoulder=0.45,
        sidewalk=2.1,
        setback=0.0,
        heights=(6, 19),
        fronts=(6, 13),
        gap=0.10,
        houses=False,
        trees=2,
        driving=4,
        parked=2.5,
        pedestrians=20,
        cycles=2.2,
        junction=0.76,
        bonnet=0.05,
        hedges=0.2,
        rails=0.3,
    ),
    "Saitama": Style(
        road_half=4.0,
        lanes=2,
        shoulder=0.7,
        sidewalk=2.0,
        setback=2.5,
        heights=(4.5, 8),
        fronts=(8, 14),
        gap=0.38,
        houses=True,
        trees=11,
        driving=6,
        parked=3,
        pedestrians=8,
        cycles=1.0,
        junction=0.8,
        bonnet=0.0,
        hedges=0.65,
        rails=0.15,
    ),
}


@dataclass(frozen=True)
class Light:
    """The light of a drive. Colours are RGB, as factors of what a white surface gives back, or 0..255."""

    name: str
    ambient: RGB
    sun: RGB
    sun_from: RGB  # unit vector towards the sun: right, up, ahead
    haze: RGB  # 0..255
    haze_length: float  # metres after which 63 % of the colour is haze
    zenith: RGB  # 0..255
    horizon: RGB  # 0..255
    cloud: RGB  # 0..255
    headlights: float  # extra light from the own car on what is near
    shadow: float  # how much a cast shadow takes away, 0..1
    lit: float  # share of lit windows
    noise: float  # sensor noise, grey levels

    @property
    def is_night(self) -> bool:
        """Return whether the lamps are on."""
        return self.name == "night"

    def shade(self, albedo: RGB, normal: RGB, depth: float, glow: float = 0.0) -> RGB:
        """Return the colour (0..255) of a surface `depth` metres away; `glow` 1 is a lamp, 0 is matt."""
        # Written out: this runs a thousand times a frame.
        toward = self.sun_from
        facing = max(0.0, normal[0] * toward[0] + normal[1] * toward[1] + normal[2] * toward[2])
        near = 0.0
        if self.headlights:
            near = self.headlights * math.exp(-depth / 13.0) * (0.35 + 0.65 * max(0.0, -normal[2]))
        matt = 1.0 - glow
        # A lamp shines through the haze.
        veil = matt * (1.0 - math.exp(-depth / self.haze_length))
        red = albedo[0] * ((self.ambient[0] + self.sun[0] * facing + near) * matt + glow)
        green = albedo[1] * ((self.ambient[1] + self.sun[1] * facing + near) * matt + glow)
        blue = albedo[2] * ((self.ambient[2] + self.sun[2] * facing + near) * matt + glow)
        return (
            min(255.0, red + (self.haze[0] - red) * veil),
            min(255.0, green + (self.haze[1] - green) * veil),
            min(255.0, blue + (self.haze[2] - blue) * veil),
        )


def make_light(rng: np.random.Generator, timeofday: str) -> Light:
    """Draw the light of a drive; the same hour differs from drive to drive in strength, tint and sun direction."""
    side = float(rng.choice([-1.0, 1.0]))
    overcast = float(rng.uniform(0.0, 1.0))
    strength = rng.uniform(0.96, 1.04, size=3) * rng.uniform(0.85, 1.12)
    if timeofday == "night":
        return _night(rng, strength)
    return _morning(rng, strength, side, overcast) if timeofday == "morning" else _day(rng, strength, side, overcast)


def _night(rng: np.random.Generator, strength: NDArray[np.float64]) -> Light:
    """Draw the light of a night: no sun, lit windows, headlights, a noisy sensor."""
    return Light(
        name="night",
        ambient=_rgb(np.array([0.18, 0.18, 0.22]) * strength),
        sun=(0.0, 0.0, 0.0),
        sun_from=(0.0, 1.0, 0.0),
        haze=(30.0, 29.0, 38.0),
        haze_length=190.0,
        zenith=_rgb(np.array([9.0, 11.0, 22.0]) * strength),
        horizon=_rgb(np.array([40.0, 36.0, 44.0]) * strength),
        cloud=(34.0, 32.0, 40.0),
        headlights=0.62,
        shadow=0.0,
        lit=float(rng.uniform(0.22, 0.5)),
        noise=4.8,
    )


def _morning(rng: np.random.Generator, strength: NDArray[np.float64], side: float, overcast: float) -> Light:
    """Draw the light of a morning: a low, warm sun in haze."""
    return Light(
        name="morning",
        ambient=_rgb(np.array([0.46, 0.41, 0.44]) * strength),
        sun=_rgb(np.array([0.85, 0.62, 0.36]) * strength * (1.0 - 0.45 * overcast)),
        sun_from=_unit(side * 0.62, 0.42, -0.45 + 0.6 * float(rng.random())),
        haze=(222.0, 196.0, 168.0),
        haze_length=260.0,
        zenith=(138.0, 158.0, 196.0),
        horizon=(246.0, 210.0, 166.0),
        cloud=(250.0, 214.0, 186.0),
        headlights=0.0,
        shadow=0.46 - 0.2 * overcast,
        lit=0.06,
        noise=2.6,
    )


def _day(rng: np.random.Generator, strength: NDArray[np.float64], side: float, overcast: float) -> Light:
    """Draw the light of a day, between a blue sky with hard shadows and a grey one without."""
    grey = overcast * 0.8
    zenith = np.array([70.0, 124.0, 205.0]) * (1.0 - grey) + np.array([176.0, 184.0, 194.0]) * grey
    return Light(
        name="day",
        ambient=_rgb(np.array([0.56, 0.59, 0.63]) * strength),
        sun=_rgb(np.array([0.62, 0.6, 0.55]) * strength * (1.0 - 0.75 * overcast)),
        sun_from=_unit(side * 0.4, 0.85, -0.35 + 0.5 * float(rng.random())),
        haze=(198.0, 210.0, 224.0),
        haze_length=420.0,
        zenith=_rgb(zenith),
        horizon=(206.0, 222.0, 236.0),
        cloud=(246.0, 246.0, 248.0),
        headlights=0.0,
        shadow=0.52 * (1.0 - 0.8 * overcast),
        lit=0.02,
        noise=2.0,
    )


def _rgb(values: NDArray[np.float64]) -> RGB:
    return float(values[0]), float(values[1]), float(values[2])


def _unit(x: float, y: float, z: float) -> RGB:
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length

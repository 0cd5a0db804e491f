"""Test-time augmentation: which views of an image a network predicts, and how these predictions are merged."""

from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from foldseg.config.schema.base import Settings
from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import SymmetryName, ViewMergeName

Factor = Annotated[float, Field(ge=0.25, le=4.0)]
Pixels = Annotated[int, Field(ge=-1024, le=1024)]

SYMMETRIES: dict[str, tuple[str, ...]] = {
    "none": ("plain",),
    "flip": ("plain", "flip"),
    "flips": ("plain", "flip", "vflip", "rot180"),
    "d4": ("plain", "flip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse"),
}
"""Name of a set -> its symmetries of the square. `inference/tta.py: TURNS` says what each does."""
check_entries(SYMMETRIES, SymmetryName, "config/schema/tta.py: SYMMETRIES")


@dataclass(frozen=True)
class TtaView:
    """One view of an image: resized by `scale`, then turned, then moved down and right by `shift` pixels."""

    symmetry: str = "plain"
    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """Its name, e.g. `plain`, `flip`, `flip*scale_1.25`, `scale_0.75*shift_8_-8`."""
        parts = []
        if self.symmetry != "plain":
            parts.append(self.symmetry)
        if self.scale != 1:
            parts.append(f"scale_{_shorten(self.scale)}")
        if self.shift != (0, 0):
            parts.append("shift_{}_{}".format(*self.shift))
        return "*".join(parts) or "plain"


class Tta(Settings):
    """Every combination of a symmetry, a scale and a shift is a view; the plain one is always among them.

    `flip`, or `[flip]`, is short for `{symmetries: flip}`, and so on; `[]` is none.
    """

    symmetries: SymmetryName = "none"
    """flip: left-right. flips: also upside down. d4: also by quarter turns."""
    scales: tuple[Factor, ...] = (1.0,)
    """Factors by which the image is resized, in addition to its view. 1.0 is always among them."""
    shifts: tuple[tuple[Pixels, Pixels], ...] = ((0, 0),)
    """Shifts [down, right] in pixels. [0, 0] is always among them."""
    merge: ViewMergeName = "mean"
    """How the probabilities of all views are combined."""
    without: tuple[str, ...] = ()
    """Names of views that are left out. `foldseg tta-gains` suggests them."""

    @classmethod
    def long_form(cls, value: Any) -> Any:
        """Return the mapping that a short form stands for: `flip` or `[flip]` -> `{symmetries: flip}`.

        `[]` -> `{symmetries: none}`, so that it also overrides what a base says.
        """
        if isinstance(value, list | tuple) and not value:
            return {"symmetries": "none"}
        if isinstance(value, list | tuple):
            return {"symmetries": value[0] if len(value) == 1 else list(value)}
        return {"symmetries": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, values: Any) -> Any:
        return cls.long_form(values)

    @field_validator("scales")
    @classmethod
    def _one_first(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        return 1.0, *sorted(set(scales) - {1.0})

    @field_validator("shifts")
    @classmethod
    def _none_first(cls, shifts: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return (0, 0), *sorted(set(shifts) - {(0, 0)})

    @field_validator("without")
    @classmethod
    def _in_one_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    @model_validator(mode="after")
    def _left_out_views_exist(self) -> Self:
        _plain, *names = [view.name for view in self._product]
        unknown = [name for name in self.without if name not in names]
        if unknown:
            raise ValueError(
                f"without: {', '.join(unknown)} cannot be left out; views that can are {', '.join(names) or 'none'}"
            )
        return self

    @property
    def _product(self) -> list[TtaView]:
        """All combinations; those that are left out are among them."""
        return [TtaView(*parts) for parts in product(SYMMETRIES[self.symmetries], self.scales, self.shifts)]

    @property
    def views(self) -> tuple[TtaView, ...]:
        """The views, the plain one first."""
        return tuple(view for view in self._product if view.name not in self.without)

    @property
    def slug(self) -> str:
        """A name for a folder that says all settings: `none`, `flip`, `d4_x0.75_x1.25_s8_-8_max_no3.7`.

        `no3.7`: views 3 and 7 are left out. Views are numbered in the order of the product; the plain one is 0.
        """
        left_out = [str(number) for number, view in enumerate(self._product) if view.name in self.without]
        parts: list[str] = []
        if self.symmetries != "none":
            parts.append(self.symmetries)
        parts += [f"x{_shorten(scale)}" for scale in self.scales[1:]]
        parts += ["s{}_{}".format(*shift) for shift in self.shifts[1:]]
        if self.merge != "mean":
            parts.append(self.merge)
        if left_out:
            parts.append(f"no{'.'.join(left_out)}")
        return "_".join(parts) or "none"


def _shorten(value: float) -> str:
    """Write a number without a needless `.0`."""
    return repr(value).removesuffix(".0")

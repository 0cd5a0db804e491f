"""The classes of data that the configuration describes, and the short forms in which they may be written."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from foldseg.config.schema.base import Settings

Byte = Annotated[int, Field(ge=0, le=255)]
RawId = Annotated[int, Field(ge=0, le=65535)]
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


def parse_color(value: Any) -> Any:
    """Return [red, green, blue] of `#rrggbb`. Other values are not changed."""
    if not isinstance(value, str):
        return value
    match = _HEX.fullmatch(value.strip())
    if match is None:
        raise ValueError("a colour is [red, green, blue] or '#rrggbb'")
    return tuple(bytes.fromhex(match[1]))


def make_list(value: Any) -> Any:
    """Return a list of one for a single value."""
    return value if isinstance(value, list | tuple) else [value]


Color = Annotated[tuple[Byte, Byte, Byte], BeforeValidator(parse_color)]
"""[red, green, blue], each 0 to 255, or '#rrggbb'."""
RawIds = Annotated[tuple[RawId, ...], BeforeValidator(make_list)]


class DataClass(Settings):
    """A class of the data."""

    mistaken_names: ClassVar = {"colour": "color", "id": "ids", "raw_ids": "ids", "colours": "more_colors"}
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f,]+$")]
    """Name of the class."""
    ids: RawIds = ()
    """Ids of the class in the masks. Submissions hold the first one. Empty: its place in the list, from 0; from 1 if
    classes overlap."""
    color: Color | None = None
    """Colour in drawings; also in the masks, if they hold colours. Null: one is chosen."""
    more_colors: tuple[Color, ...] = ()
    """Other colours that mean the class in masks of colours."""
    label: str | None = None
    """What tables, folders and names of files call the class. Null: its name."""
    category: str | None = None
    """A name that several classes share. `data.labels: categories` makes one class of them. Null: none."""
    scored: bool = True
    """Whether the contest scores the class."""


def _expand_classes(value: Any) -> Any:
    """Return the list of classes that a short form stands for.

    `[road, car]` has names alone. `{road: 7, car: [26, 27]}` has ids, `{road: "#804080"}` has colours.
    """
    if isinstance(value, dict):
        return [_expand_class(name, meaning) for name, meaning in value.items()]
    if isinstance(value, list | tuple):
        return [{"name": item} if isinstance(item, str) else item for item in value]
    return value


def _expand_class(name: Any, meaning: Any) -> Any:
    if isinstance(meaning, dict):
        return {"name": name, **meaning}
    return {"name": name, "color" if isinstance(meaning, str) else "ids": meaning}


Classes = Annotated[tuple[DataClass, ...], BeforeValidator(_expand_classes), Field(min_length=1)]

"""Which ids the classes of a source have in masks, and what is written for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config.class_files import ClassEntry
from foldseg.errors import FoldsegError, short_name
from foldseg.importing.annotations import (
    MOST_CLASSES,
    Annotations,
    Colour,
    ImportSettings,
    MaskKind,
    SourceClass,
    check_drawn_classes,
)
from foldseg.importing.class_colours import fill_in_colours
from foldseg.importing.draw import BACKGROUND, MOST_BITS, VOID
from foldseg.importing.remarks import Remarks

_LONGEST_NAME = 100
_VOID_COLOUR: Colour = (224, 224, 192)


@dataclass(frozen=True)
class ClassPlan:
    """The classes of an import, with the ids that masks hold for them."""

    classes: tuple[SourceClass, ...]
    """In their order. Each has a colour, and at least one id; only overlapping classes share ids."""
    kind: MaskKind
    void_ids: tuple[int, ...] = ()
    overlapping: bool = False
    background_ids: tuple[int, ...] = ()
    void_names: tuple[str, ...] = ()
    """Names of shapes that are drawn as void."""
    background_names: tuple[str, ...] = ()
    """Names of shapes that are drawn as background."""
    void_colours: tuple[Colour, ...] = ()
    """Colours of void in masks of colours."""

    @property
    def entries(self) -> list[ClassEntry]:
        """The classes as the YAML of a data set has them."""
        entries = []
        for item in self.classes:
            entry = ClassEntry(name=item.name, ids=list(item.ids), color=list(item.colour or (0, 0, 0)))
            if not item.scored:
                entry["scored"] = False
            entries.append(entry)
        return entries

    @property
    def ids_to_draw(self) -> dict[str, int]:
        """Class -> id; void names, too. Only for exclusive classes that are drawn."""
        ids = {item.label or item.name: item.ids[0] for item in self.classes}
        return {**ids, **dict.fromkeys(self.background_names, BACKGROUND), **dict.fromkeys(self.void_names, VOID)}

    @property
    def bits_to_draw(self) -> dict[str, int]:
        """Class -> number of its bit. Only for overlapping classes that are drawn; see `draw.paint_bits`."""
        bits = {item.label or item.name: number for number, item in enumerate(self.classes)}
        return {**bits, **dict.fromkeys(self.background_names, -1), **dict.fromkeys(self.void_names, MOST_BITS)}

    @cached_property
    def holders(self) -> dict[int, tuple[int, ...]]:
        """Value of a mask -> the classes that have it, by their place."""
        holders: dict[int, tuple[int, ...]] = {}
        for place, item in enumerate(self.classes):
            for raw_id in item.ids:
                holders[raw_id] = (*holders.get(raw_id, ()), place)
        return holders

    def unknown_values(self, values: Sequence[int]) -> list[int]:
        """Return those values of a mask that have no meaning."""
        return [v for v in values if v not in self.holders and v not in self.void_ids and v not in self.background_ids]

    @cached_property
    def colour_table(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 RGB: the colour of each value of a mask. A value of several classes has their mean."""
        table = np.zeros((256, 3), np.uint8)
        for value, places in self.holders.items():
            if value < len(table):
                table[value] = np.mean([self.classes[place].colour or (0, 0, 0) for place in places], axis=0)
        for value in self.void_ids:
            if value < len(table):
                table[value] = _VOID_COLOUR
        return table

    @property
    def palette(self) -> bytes:
        """The colours of all values, for PNGs."""
        return self.colour_table.tobytes()


def make_plan(source: Path, annotations: Annotations, settings: ImportSettings, remarks: Remarks) -> ClassPlan:
    """Give ids and colours to classes: drawn ones get 0 for the background, 1, 2, ..., and 255 for void.

    Masks of ids keep theirs. FoldsegError if masks cannot hold so many classes.
    """
    _check_settings_have_an_effect(source, annotations.kind, settings)
    annotations = replace(annotations, classes=_make_names_possible(source, annotations.classes, remarks))
    if annotations.kind == "ids":
        void_ids = tuple(dict.fromkeys((*annotations.void_ids, *((0,) if settings.reduce_zero_label else ()))))
        classes = [item for item in annotations.classes if not set(item.ids) <= set(void_ids)]
        return ClassPlan(_with_colours(classes), "ids", void_ids, annotations.overlapping, annotations.background_ids)
    void = [item for item in annotations.classes if item.is_void]
    for item in void:
        remarks.add("classes are void, since their name says so", repr(item.name))
    names = tuple(item.name for item in void), ("background", *(i.name for i in annotations.classes if i.is_background))
    if annotations.kind == "colours":
        return _plan_colours(source, annotations.classes)
    classes = check_drawn_classes(source, annotations.classes, settings.overlapping)
    if settings.overlapping:
        bits = [
            replace(item, ids=tuple(value for value in range(1, 1 << len(classes)) if value >> bit & 1))
            for bit, item in enumerate(classes)
        ]
        return ClassPlan(_with_colours(bits), "shapes", (VOID,), True, (BACKGROUND,), *names)
    return ClassPlan(_with_colours(_number(classes)), "shapes", (VOID,), False, (), *names)


def _check_settings_have_an_effect(source: Path, kind: MaskKind, settings: ImportSettings) -> None:
    """Raise FoldsegError for a setting of shapes if the source has masks, and the other way round."""
    is_drawn = kind == "shapes"
    idle = {
        "--overlapping": settings.overlapping and not is_drawn,
        "--unlabelled-is-void": settings.unlabelled == "void" and not is_drawn,
        "--line-width": settings.line_width is not None and not is_drawn,
        "--reduce-zero-label": settings.reduce_zero_label and kind != "ids",
    }
    for name, has_no_effect in idle.items():
        if has_no_effect:
            raise FoldsegError(f"{name}: has no effect, since the annotations of {source} are {kind}")


def _make_names_possible(source: Path, classes: Sequence[SourceClass], remarks: Remarks) -> list[SourceClass]:
    """Return the classes without commas in their names, since settings list names. FoldsegError for odd names."""
    possible = []
    for item in classes:
        if not item.name.strip() or not item.name.isprintable() or len(item.name) > _LONGEST_NAME:
            raise FoldsegError(f"{source}: {short_name(item.name)!r} is no possible name of a class")
        if "," in item.name:
            remarks.add("names of classes have commas, which become semicolons", repr(item.name))
            item = replace(item, name=item.name.replace(",", ";"), label=item.name)
        possible.append(item)
    return possible


def _plan_colours(source: Path, classes: Sequence[SourceClass]) -> ClassPlan:
    """Return the plan of masks of colours. Black is background if it is no class's colour."""
    name_of = dict[Colour, str]()
    for item in classes:
        other = name_of.setdefault(item.colour or (0, 0, 0), item.name)
        if other != item.name:
            raise FoldsegError(f"{source}: the classes {other!r} and {item.name!r} have the same colour {item.colour}")
    void_colours = tuple(item.colour or (0, 0, 0) for item in classes if item.is_void)
    if _VOID_COLOUR not in name_of:  # Pascal VOC draws it around objects
        void_colours += (_VOID_COLOUR,)
    drawn = [item for item in classes if not item.is_void]
    if (0, 0, 0) in name_of or any(item.is_background for item in drawn):
        ordered = sorted(drawn, key=lambda item: not item.is_background)
    else:
        ordered = check_drawn_classes(source, drawn, False)
    return ClassPlan(_with_colours(_number(ordered)), "colours", (VOID,), void_colours=void_colours)


def _number(classes: Sequence[SourceClass]) -> list[SourceClass]:
    return [replace(item, ids=(number,)) for number, item in enumerate(classes)]


def name_by_ids(source: Path, plan: ClassPlan, values: Sequence[int]) -> ClassPlan:
    """Return the plan of a source that names no classes: one for each value that its masks hold, besides void.

    FoldsegError if masks hold more values than there can be classes.
    """
    if len(values) > MOST_CLASSES:
        raise FoldsegError(
            f"{source}: its masks hold {len(values)} values, so they are no ids of classes: perhaps pictures, or masks "
            "that were made smaller with smooth edges"
        )
    classes = [SourceClass(f"class_{value}", ids=(value,)) for value in sorted(values) if value not in plan.void_ids]
    return replace(plan, classes=_with_colours(classes))


def _with_colours(classes: Sequence[SourceClass]) -> tuple[SourceClass, ...]:
    """Return the classes with colours; the background's is black if it has none."""
    colours = [(0, 0, 0) if item.is_background and item.colour is None else item.colour for item in classes]
    return tuple(replace(item, colour=colour) for item, colour in zip(classes, fill_in_colours(colours), strict=True))


def count_classes(plan: ClassPlan, pixels: Mapping[int, int]) -> dict[str, int]:
    """Return the pixels of each class from those of each value of a mask."""
    counts = dict.fromkeys((item.name for item in plan.classes), 0)
    for value, number in pixels.items():
        for place in plan.holders.get(value, ()):
            counts[plan.classes[place].name] += number
    return counts

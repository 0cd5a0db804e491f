"""Label sets: ordered classes, their colours and raw ids, and the selections of classes that a model is trained on.

The classes of a label set are exclusive, or they overlap. That decides what a mask holds after reading, (H, W) uint8:

    exclusive      the index of each pixel's class
    overlapping    class bits: bit i is set where class i is; 0 where there is no class

Void is 255 in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError

IGNORE_INDEX = 255
"""The value of void pixels after reading, everywhere: in masks, in padding, in losses and in scores."""

UNKNOWN = 254
"""The value in look-up tables of a raw id or colour that belongs to no class."""
MAX_CLASSES = UNKNOWN
_MOST_IDS = 24
"""So many ids are listed in a message."""
LARGEST_ID = 65535
"""The largest raw id of a mask file, which has 16 bits."""
MAX_OVERLAPPING_CLASSES = 7
"""With 7 class bits, all classes together are 127. So 255 stays void, and 254 unknown."""

Colour = tuple[int, int, int]
LabelChoice = str | Sequence[str] | Mapping[str, Sequence[str]]
"""Which classes are learned; see `LabelSet.select`."""
Mask = NDArray[np.uint8]
Image = NDArray[np.uint8]
RawIds = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class LabelClass:
    """One class: its name, its RGB colour and the raw ids in the mask files that belong to it."""

    name: str
    colour: Colour
    raw_ids: tuple[int, ...]
    scored: bool = True
    is_merged: bool = False
    """Whether it stands for several classes of the data set, so that no raw id can be written for it."""
    category: str = ""
    """A name that it shares with other classes, which `select("categories")` makes one class. Empty: it has none."""
    label: str = ""
    """What tables of the data set call it. Empty: its name."""

    @property
    def written_id(self) -> int | None:
        """The raw id that submissions hold for this class: its first one. None if it stands for several classes."""
        return None if self.is_merged else self.raw_ids[0]


@dataclass(frozen=True)
class LabelSet:
    """Ordered classes; a class's index is its position. The ignore index is 255.

    `raw_colours[i]` is the colour of raw id i where mask files are RGB pictures, and empty where they hold ids.
    """

    classes: tuple[LabelClass, ...]
    void_ids: tuple[int, ...] = ()
    raw_colours: tuple[Colour, ...] = ()
    overlapping: bool = False
    """Whether a pixel may belong to several classes, or to none. Classes may then share raw ids."""
    background_ids: tuple[int, ...] = ()
    """Raw ids of no class. Only if classes overlap; 0 if none is given and 0 has no other meaning."""

    def __post_init__(self) -> None:
        used = {raw_id for label in self.classes for raw_id in label.raw_ids} | set(self.void_ids)
        if self.overlapping and not self.background_ids and 0 not in used:
            object.__setattr__(self, "background_ids", (0,))
        if len(set(self.names)) != len(self.classes):
            raise ValueError("class names of a label set must be unique")
        most = MAX_OVERLAPPING_CLASSES if self.overlapping else MAX_CLASSES
        if not 1 <= len(self.classes) <= most:
            kind = "a label set of overlapping classes" if self.overlapping else "a label set"
            raise ValueError(f"{kind} has 1 to {most} classes, not {len(self.classes)}")
        self._check_raw_ids()

    def _check_raw_ids(self) -> None:
        """Raise ValueError for a raw id of several meanings. Only overlapping classes may share one."""
        of_classes = [raw_id for label in self.classes for raw_id in label.raw_ids]
        if self.overlapping:
            of_classes = list(set(of_classes))
        elif self.background_ids:
            raise ValueError("background_ids are for overlapping classes; exclusive ones need a class for these ids")
        raw_ids = [*of_classes, *self.void_ids, *self.background_ids]
        if not all(0 <= raw_id <= LARGEST_ID for raw_id in raw_ids):
            raise ValueError(f"raw ids are from 0 to {LARGEST_ID}; found {min(raw_ids)} to {max(raw_ids)}")
        if len(set(raw_ids)) != len(raw_ids):
            raise ValueError("raw ids of a label set must be unique; only overlapping classes may share them")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Class names, in order of their index."""
        return [label.name for label in self.classes]

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """Colours of the classes: (classes, 3) uint8 RGB."""
        return np.array([label.colour for label in self.classes], np.uint8)

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """Which classes the contest scores: (classes,) bool."""
        return np.array([label.scored for label in self.classes])

    @cached_property
    def values_of_classes(self) -> NDArray[np.bool_]:
        """(classes, 256) bool: at which values of a mask each class is. No class is at void."""
        values = np.arange(256)
        numbers = np.arange(len(self))[:, None]
        table = (values >> numbers & 1 == 1) if self.overlapping else values == numbers
        table[:, self.number_of_values :] = False
        return table

    @property
    def number_of_values(self) -> int:
        """How many values a mask may hold besides void: 0 up to this number, without it."""
        return 1 << len(self) if self.overlapping else len(self)

    @cached_property
    def _value_of_raw_id(self) -> NDArray[np.uint8]:
        """The mask's value for each raw id, uint8; 255 for void, 254 for ids that have no meaning.

        It is of (256,), or of (65536,) if there are raw ids of 16 bits.
        """
        raw_ids = [raw_id for label in self.classes for raw_id in label.raw_ids]
        largest = max([*raw_ids, *self.void_ids, *self.background_ids])
        table = np.full(256 if largest < 256 else 65536, UNKNOWN, np.uint8)
        table[list(self.background_ids)] = 0
        if self.overlapping:
            table[[raw_id for label in self.classes for raw_id in label.raw_ids]] = 0
        for index, label in enumerate(self.classes):
            ids = list(label.raw_ids)
            table[ids] = table[ids] | 1 << index if self.overlapping else index
        table[list(self.void_ids)] = IGNORE_INDEX
        return table

    @cached_property
    def _raw_id_of_value(self) -> dict[int, int]:
        """A raw id for each value of a mask that has one: the first one of a class, or else the lowest one."""
        raw_ids = {IGNORE_INDEX: self.void_ids[0]} if self.void_ids else {}
        if not self.overlapping:
            return raw_ids | {index: label.raw_ids[0] for index, label in enumerate(self.classes)}
        for raw_id, value in enumerate(self._value_of_raw_id.tolist()):
            if value < self.number_of_values:
                raw_ids.setdefault(value, raw_id)
        return raw_ids

    @property
    def has_id_of_every_value(self) -> bool:
        """Whether there is a raw id for every combination of overlapping classes, and for no class."""
        return all(value in self._raw_id_of_value for value in range(self.number_of_values))

    def with_bits_as_ids(self) -> "LabelSet":
        """Return the classes of files whose raw ids are class bits. Exclusive classes keep their raw ids."""
        if not self.overlapping:
            return self
        classes = []
        for label, values in zip(self.classes, self.values_of_classes, strict=True):
            classes.append(replace(label, raw_ids=tuple(np.flatnonzero(values).tolist())))
        return LabelSet(tuple(classes), (IGNORE_INDEX,), overlapping=True)

    def encode(self, raw: RawIds) -> Mask:
        """Turn raw ids (H, W) uint8 or uint16 into class indices or class bits (H, W) uint8, void 255.

        ValueError names unknown ids.
        """
        table = self._value_of_raw_id
        mask = cv2.LUT(raw, table[:256]) if raw.dtype == np.uint8 else _extend(table)[raw]
        if (mask == UNKNOWN).any():
            unknown = np.unique(raw[mask == UNKNOWN]).tolist()
            valid = np.flatnonzero(self._value_of_raw_id != UNKNOWN).tolist()
            raise ValueError(f"holds unknown ids {_list_ids(unknown)}; known are {_list_ids(valid)}")
        return np.asarray(mask, np.uint8)

    def decode(self, mask: Mask) -> RawIds:
        """Turn class indices or class bits into raw ids, so that `encode(decode(mask)) == mask`.

        They are uint16 if there are raw ids above 255, otherwise uint8.
        A class index becomes the first raw id of its class. Class bits become a raw id of exactly these classes.
        ValueError for an index that is no class, and for class bits or void without a raw id.
        """
        table = np.zeros(256, np.uint16)
        table[list(self._raw_id_of_value)] = list(self._raw_id_of_value.values())
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
        if invalid := [value for value in present if value not in self._raw_id_of_value]:
            raise ValueError(self._explain_no_raw_id(invalid))
        if len(self._value_of_raw_id) > 256:
            return table[mask]
        return np.asarray(cv2.LUT(mask, table.astype(np.uint8)), np.uint8)

    def _explain_no_raw_id(self, values: Sequence[int]) -> str:
        combinations = [value for value in values if value < self.number_of_values]
        if not self.overlapping or not combinations:
            return f"indices {list(values)} are no classes of this label set"
        names = [
            name for name, is_on in zip(self.names, self.values_of_classes[:, combinations[0]], strict=True) if is_on
        ]
        return f"no raw id is of exactly the classes {', '.join(names) or '(none)'}, so pictures of ids cannot say it"

    def class_planes(self, mask: Mask) -> NDArray[np.bool_]:
        """Return where each class is in a mask (...) uint8: (classes, ...) bool. Void is of no class."""
        return np.stack([np.asarray(table[mask]) for table in self.values_of_classes])

    def pack_planes(self, planes: NDArray[np.bool_]) -> Mask:
        """Return the mask of planes (classes, ...) bool. `class_planes(pack_planes(planes)) == planes`.

        ValueError if classes are exclusive, and a pixel is of none or of several.
        """
        if self.overlapping:
            bits = np.zeros(planes.shape[1:], np.uint8)
            for index, plane in enumerate(planes):
                bits |= plane.view(np.uint8) << np.uint8(index)
            return bits
        if not (planes.sum(0) == 1).all():
            raise ValueError("a pixel is of no class or of several, and the classes of this label set are exclusive")
        return planes.argmax(0).astype(np.uint8)

    @cached_property
    def _colour_of_value(self) -> NDArray[np.uint8]:
        """(256, 3) uint8: the mean colour of the classes at each value of a mask; black where there is none."""
        totals = self.values_of_classes.T.astype(np.float64) @ self.colours
        classes = np.maximum(self.values_of_classes.sum(0), 1)
        return (totals / classes[:, None]).round().astype(np.uint8)

    def colourise(self, mask: Mask) -> Image:
        """Draw a mask (H, W) as RGB (H, W, 3) uint8. Void, no class and unknown values are black.

        A pixel of several classes has the mean of their colours.
        """
        # This takes a third of the time of table[mask]
        return np.asarray(cv2.LUT(cv2.merge((mask, mask, mask)), self._colour_of_value[None]), np.uint8)

    @property
    def definition(self) -> dict[str, str]:
        """What mask files mean, in words that JSON can hold; colours that are only drawn are left out.

        E.g. {"car": "raw ids 0, scored", "(void)": "raw ids 11"}; see `describe_label_changes`.
        """
        definition = {}
        for label in self.classes:
            definition[label.name] = _describe_ids(label.raw_ids) + (", scored" if label.scored else "")
        if self.void_ids:
            definition["(void)"] = _describe_ids(self.void_ids)
        if self.overlapping:
            definition["(no class)"] = f"{_describe_ids(self.background_ids)}; the classes may overlap"
        for raw_id, colour in enumerate(self.raw_colours):
            definition[f"(colour of raw id {raw_id})"] = f"RGB {colour}"
        return definition

    def select(self, choice: LabelChoice) -> "LabelSet":
        """Return the label set that a model is trained on.

        `choice` is "all", "scored", "categories", a list of class names, or a mapping from new names to the names of
        the classes that are merged. The classes that are not chosen become one class, `background`, with the index 0.
        If classes overlap, they vanish: their pixels are of no class, unless a chosen class has them, too. FoldsegError
        names unknown classes.
        """
        if choice == "all":
            return self
        parts = self._list_parts(choice)
        members = [name for names in parts.values() for name in names]
        unknown = [name for name in members if name not in self.names]
        if unknown or not members or (len(set(members)) != len(members) and not self.overlapping):
            problem = f"unknown classes {unknown}" if unknown else f"classes {members} (empty or repeated)"
            raise FoldsegError(f"data.labels: {problem}; this data set has {', '.join(self.names)}")
        chosen = tuple(self._merge(name, names) for name, names in parts.items())
        others = [label for label in self.classes if label.name not in members]
        background_ids = tuple(raw_id for label in others for raw_id in label.raw_ids)
        if self.overlapping:
            remaining = {raw_id for label in chosen for raw_id in label.raw_ids}
            no_class = sorted({*self.background_ids, *background_ids} - remaining)
            return replace(self, classes=chosen, background_ids=tuple(no_class))
        if not others:
            return LabelSet(chosen, self.void_ids, self.raw_colours)
        background = LabelClass("background", (0, 0, 0), background_ids, scored=False, is_merged=len(others) > 1)
        return LabelSet((background, *chosen), self.void_ids, self.raw_colours)

    def _list_parts(self, choice: LabelChoice) -> dict[str, list[str]]:
        """Return the names of the classes that are merged, by the name of the class that they become."""
        if choice == "scored":
            return {label.name: [label.name] for label in self.classes if label.scored}
        if choice == "categories":
            parts: dict[str, list[str]] = {}
            for label in self.classes:
                parts.setdefault(label.category or label.name, []).append(label.name)
            return parts
        if isinstance(choice, Mapping):
            return {name: list(names) for name, names in choice.items()}
        if len(set(choice)) != len(choice):
            return {str(list(choice)): list(choice)}  # which is refused, since names are repeated
        return {name: [name] for name in choice}

    def _merge(self, name: str, names: Sequence[str]) -> LabelClass:
        """Return a class that stands for several: it has the colour of the first, and is scored if one of them is."""
        labels = [self.classes[self.names.index(member)] for member in names]
        if len(labels) == 1:
            return replace(labels[0], name=name)
        raw_ids = tuple(dict.fromkeys(raw_id for label in labels for raw_id in label.raw_ids))
        is_scored = any(label.scored for label in labels)
        return LabelClass(name, labels[0].colour, raw_ids, is_scored, is_merged=True, category=labels[0].category)

    def class_indices_in(self, coarser: "LabelSet") -> NDArray[np.intp]:
        """Return, for every class of this label set, the index of the class of `coarser` that holds all its raw ids.

        FoldsegError names a class whose raw ids are divided between classes of `coarser`, or missing there. Overlapping
        classes are not merged: the index is that of the class with the same raw ids, or -1 if `coarser` has none.
        """
        if self.overlapping != coarser.overlapping:
            raise FoldsegError("classes that overlap cannot be merged into exclusive ones, or the other way round")
        if self.overlapping:
            index_of_ids = {frozenset(label.raw_ids): index for index, label in enumerate(coarser.classes)}
            return np.array([index_of_ids.get(frozenset(label.raw_ids), -1) for label in self.classes], np.intp)
        indices = []
        for label in self.classes:
            holders = np.unique(coarser._value_of_raw_id[list(label.raw_ids)])
            if len(holders) != 1 or holders[0] >= len(coarser):
                raise FoldsegError(f"{label.name} is not within one of the classes {', '.join(coarser.names)}")
            indices.append(holders[0])
        return np.array(indices, np.intp)


def describe_label_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say how a label set differs from another, e.g. `car: raw ids 0 became raw ids 5`.

    Both are given as `LabelSet.definition`. Without differences the list is empty.
    """
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if not keys and list(before) != list(now):
        return ["the order of the classes is another one"]
    return [f"{key}: {before.get(key, 'nothing')} became {now.get(key, 'nothing')}" for key in keys]


def _extend(table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a look-up table for ids of 16 bits; those that it lacks are unknown."""
    return np.pad(table, (0, LARGEST_ID + 1 - len(table)), constant_values=UNKNOWN)


def _list_ids(raw_ids: Sequence[int]) -> str:
    """List ids for a message: `[1, 2]`, or the first ones and how many more there are."""
    more = f" and {len(raw_ids) - _MOST_IDS} more" if len(raw_ids) > _MOST_IDS else ""
    return f"{list(raw_ids[:_MOST_IDS])}{more}"


def _describe_ids(raw_ids: Sequence[int]) -> str:
    return f"raw ids {' '.join(map(str, raw_ids))}"

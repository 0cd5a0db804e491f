"""Label sets: ordered classes, their colours and raw ids, and the selections of classes that a model is trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError

IGNORE_INDEX = 255
"""The value of void pixels after reading, everywhere: in masks, in padding, in losses and in scores."""

_UNKNOWN = 254
"""The value in look-up tables of a raw id or colour that belongs to no class."""
MAX_CLASSES = _UNKNOWN

Colour = tuple[int, int, int]
Mask = NDArray[np.uint8]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelClass:
    """One class: its name, its RGB colour and the raw ids in the mask files that belong to it."""

    name: str
    colour: Colour
    raw_ids: tuple[int, ...]
    scored: bool = True
    is_merged: bool = False
    """Whether it stands for several classes of the data set, so that no raw id can be written for it."""

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

    def __post_init__(self) -> None:
        raw_ids = [raw_id for label in self.classes for raw_id in label.raw_ids] + list(self.void_ids)
        if len(set(self.names)) != len(self.classes) or len(set(raw_ids)) != len(raw_ids):
            raise ValueError("class names and raw ids of a label set must be unique")
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"a label set has 1 to {MAX_CLASSES} classes, not {len(self.classes)}")

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
    def _index_of_raw_id(self) -> NDArray[np.uint8]:
        """(256,) uint8: the class index of each raw id; 255 for void, 254 for ids of no class."""
        table = np.full(256, _UNKNOWN, np.uint8)
        for index, label in enumerate(self.classes):
            table[list(label.raw_ids)] = index
        table[list(self.void_ids)] = IGNORE_INDEX
        return table

    def encode(self, raw: Mask) -> Mask:
        """Turn raw ids (H, W) uint8 into class indices (H, W) uint8, void 255. ValueError names unknown ids."""
        mask = cv2.LUT(raw, self._index_of_raw_id)
        if (mask == _UNKNOWN).any():
            unknown = np.unique(raw[mask == _UNKNOWN]).tolist()
            valid = np.flatnonzero(self._index_of_raw_id != _UNKNOWN).tolist()
            raise ValueError(f"holds unknown ids {unknown}; known are {valid}")
        return np.asarray(mask, np.uint8)

    def decode(self, mask: Mask) -> Mask:
        """Turn class indices into the first raw id of each class, so that `encode(decode(mask)) == mask`.

        ValueError for an index that is no class, and for void if the label set has no raw id for it.
        """
        table = np.zeros(256, np.uint8)
        table[: len(self)] = [label.raw_ids[0] for label in self.classes]
        if self.void_ids:
            table[IGNORE_INDEX] = self.void_ids[0]
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        is_valid = present < len(self)
        if self.void_ids:
            is_valid |= present == IGNORE_INDEX
        if not is_valid.all():
            raise ValueError(f"indices {present[~is_valid].tolist()} are no classes of this label set")
        return np.asarray(cv2.LUT(mask, table), np.uint8)

    def colourise(self, mask: Mask) -> Image:
        """Draw class indices (H, W) as RGB (H, W, 3) uint8; void and unknown indices are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        # This takes a third of the time of table[mask]
        return np.asarray(cv2.LUT(cv2.merge((mask, mask, mask)), table[None]), np.uint8)

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
        for raw_id, colour in enumerate(self.raw_colours):
            definition[f"(colour of raw id {raw_id})"] = f"RGB {colour}"
        return definition

    def select(self, choice: str | Sequence[str]) -> "LabelSet":
        """Return the label set that a model is trained on.

        `choice` is "all", "scored" or a list of class names. The classes that are not chosen become one class,
        `background`, with the index 0. FoldsegError names unknown classes.
        """
        if choice == "all":
            return self
        names = [label.name for label in self.classes if label.scored] if choice == "scored" else list(choice)
        unknown = [name for name in names if name not in self.names]
        if unknown or not names or len(set(names)) != len(names):
            problem = f"unknown classes {unknown}" if unknown else f"classes {names} (empty or repeated)"
            raise FoldsegError(f"data.labels: {problem}; this data set has {', '.join(self.names)}")
        chosen = tuple(self.classes[self.names.index(name)] for name in names)
        others = [label for label in self.classes if label.name not in names]
        if not others:
            return LabelSet(chosen, self.void_ids, self.raw_colours)
        background_ids = tuple(raw_id for label in others for raw_id in label.raw_ids)
        background = LabelClass("background", (0, 0, 0), background_ids, scored=False, is_merged=len(others) > 1)
        return LabelSet((background, *chosen), self.void_ids, self.raw_colours)

    def class_indices_in(self, coarser: "LabelSet") -> NDArray[np.intp]:
        """Return, for every class of this label set, the index of the class of `coarser` that holds all its raw ids.

        FoldsegError names a class whose raw ids are divided between classes of `coarser`, or missing there.
        """
        indices = []
        for label in self.classes:
            holders = np.unique(coarser._index_of_raw_id[list(label.raw_ids)])
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


def _describe_ids(raw_ids: Sequence[int]) -> str:
    return f"raw ids {' '.join(map(str, raw_ids))}"


@lru_cache(maxsize=8)
def _id_of_colour(colours: tuple[Colour, ...]) -> NDArray[np.uint8]:
    """Return a table of 16 MiB: colour as little-endian 0x00BBGGRR -> raw id.

    It is fast in spite of its size, since a picture's few colours touch few cache lines.
    """
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for raw_id, (red, green, blue) in enumerate(colours):
        table[red | green << 8 | blue << 16] = raw_id
    return table


def find_raw_ids(picture: Image, colours: tuple[Colour, ...]) -> Mask:
    """Return the raw ids (H, W) uint8 of an RGB picture (H, W, 3) uint8. ValueError names some unknown colours.

    `colours[i]` is the colour of raw id i.
    """
    rgba = np.zeros((*picture.shape[:2], 4), np.uint8)
    cv2.mixChannels([picture], [rgba], [0, 0, 1, 1, 2, 2])
    code = rgba.view(np.uint32)[..., 0]
    ids = _id_of_colour(colours).take(code)
    if (ids == _UNKNOWN).any():
        unknown = np.unique(picture[ids == _UNKNOWN].reshape(-1, 3), axis=0).tolist()
        examples = ", ".join(str(tuple(colour)) for colour in unknown[:5])
        raise ValueError(f"holds {len(unknown)} unknown colour(s), e.g. RGB {examples}; {len(colours)} are known")
    return ids

"""Label sets: ordered classes, their colours and raw ids, and the views of them that a model is trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.errors import FoldsegError

IGNORE_INDEX = 255
"""What a void pixel is after reading, everywhere: in masks, in padding, in losses and in scores."""

_UNKNOWN = 254  # in look-up tables: a raw id or colour that belongs to no class
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


@dataclass(frozen=True)
class LabelSet:
    """Ordered classes; a class's index is its position. The ignore index is 255.

    `raw_colours[i]` is the colour of raw id i where mask files are RGB pictures, and empty where they hold ids.
    """

    classes: tuple[LabelClass, ...]
    void_ids: tuple[int, ...] = ()
    raw_colours: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        raw = [i for c in self.classes for i in c.raw_ids] + list(self.void_ids)
        if len(set(self.names)) != len(self.classes) or len(set(raw)) != len(raw):
            raise ValueError("class names and raw ids of a label set must be unique")
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"a label set has 1 to {MAX_CLASSES} classes, not {len(self.classes)}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Class names, in order of their index."""
        return [c.name for c in self.classes]

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """(classes, 3) RGB."""
        return np.array([c.colour for c in self.classes], np.uint8)

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """(classes,): which classes the contest scores."""
        return np.array([c.scored for c in self.classes])

    @cached_property
    def _index_of_raw(self) -> NDArray[np.uint8]:
        table = np.full(256, _UNKNOWN, np.uint8)
        for index, label in enumerate(self.classes):
            table[list(label.raw_ids)] = index
        table[list(self.void_ids)] = IGNORE_INDEX
        return table

    def encode(self, raw: Mask) -> Mask:
        """Raw ids (H, W) uint8 -> class indices (H, W) uint8, void 255. ValueError names unknown ids."""
        mask = cv2.LUT(raw, self._index_of_raw)
        if (mask == _UNKNOWN).any():
            unknown = np.unique(raw[mask == _UNKNOWN]).tolist()
            known = sorted({i for c in self.classes for i in c.raw_ids} | set(self.void_ids))
            raise ValueError(f"holds unknown ids {unknown}; known are {known}")
        return np.asarray(mask, np.uint8)

    def decode(self, mask: Mask) -> Mask:
        """Class indices -> the first raw id of each class, so that `encode(decode(mask)) == mask`.

        ValueError when void is asked for and the label set has no raw id for it.
        """
        table = np.zeros(256, np.uint8)
        table[: len(self)] = [c.raw_ids[0] for c in self.classes]
        if self.void_ids:
            table[IGNORE_INDEX] = self.void_ids[0]
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        valid = present < len(self)
        if self.void_ids:
            valid |= present == IGNORE_INDEX
        if not valid.all():
            raise ValueError(f"indices {present[~valid].tolist()} are no classes of this label set")
        return np.asarray(cv2.LUT(mask, table), np.uint8)

    def colourise(self, mask: Mask) -> Image:
        """Class indices (H, W) -> RGB (H, W, 3); void and anything unknown is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        # Takes a third of the time of table[mask]
        return np.asarray(cv2.LUT(cv2.merge((mask, mask, mask)), table[None]), np.uint8)

    @property
    def facts(self) -> dict[str, str]:
        """All that decides what a mask file means, in words and fit for JSON; colours that are only drawn are left out.

        E.g. {"car": "raw ids 0, scored", "(void)": "raw ids 11"}; see `label_changes`.
        """
        classes = {c.name: _ids(c.raw_ids) + (", scored" if c.scored else "") for c in self.classes}
        void = {"(void)": _ids(self.void_ids)} if self.void_ids else {}
        return classes | void | {f"(colour of raw id {i})": f"RGB {rgb}" for i, rgb in enumerate(self.raw_colours)}

    def view(self, choice: str | Sequence[str]) -> "LabelSet":
        """Return the label set that a model is trained on.

        `choice` is "all", "scored" (the scored classes; the rest is `background`) or class names (the rest is
        `background`, index 0). FoldsegError names unknown classes.
        """
        if choice == "all":
            return self
        wanted = [c.name for c in self.classes if c.scored] if choice == "scored" else list(choice)
        unknown = [name for name in wanted if name not in self.names]
        if unknown or not wanted or len(set(wanted)) != len(wanted):
            what = f"unknown classes {unknown}" if unknown else f"classes {wanted} (empty or repeated)"
            raise FoldsegError(f"data.labels: {what}; this data set has {', '.join(self.names)}")
        kept = tuple(self.classes[self.names.index(name)] for name in wanted)
        rest = tuple(i for c in self.classes if c.name not in wanted for i in c.raw_ids)
        if not rest:
            return LabelSet(kept, self.void_ids, self.raw_colours)
        background = LabelClass("background", (0, 0, 0), rest, scored=False)
        return LabelSet((background, *kept), self.void_ids, self.raw_colours)

    def merged_into(self, view: "LabelSet") -> NDArray[np.intp]:
        """Return, for every class of this label set, the index of the class of `view` that holds all its raw ids.

        FoldsegError names a class whose raw ids are divided between classes of `view`, or missing there.
        """
        indices = [np.unique(view._index_of_raw[list(label.raw_ids)]) for label in self.classes]
        for label, found in zip(self.classes, indices, strict=True):
            if len(found) != 1 or found[0] >= len(view):
                raise FoldsegError(f"{label.name} is not within one of the classes {', '.join(view.names)}")
        return np.concatenate(indices).astype(np.intp)


def label_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say how a label set differs from another, both as `LabelSet.facts`: `car: raw ids 0 became raw ids 5`."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    changes = [f"{key}: {before.get(key, 'nothing')} became {now.get(key, 'nothing')}" for key in keys]
    return changes if changes or list(before) == list(now) else ["the order of the classes is another one"]


def _ids(raw_ids: Sequence[int]) -> str:
    return f"raw ids {' '.join(map(str, raw_ids))}"


@lru_cache(maxsize=8)
def _id_of_colour(colours: tuple[Colour, ...]) -> NDArray[np.uint8]:
    """16 MiB table: colour as little-endian 0x00BBGGRR -> raw id. Few of its cache lines are ever touched."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for raw_id, (red, green, blue) in enumerate(colours):
        table[red | green << 8 | blue << 16] = raw_id
    return table


def ids_of_colours(picture: Image, colours: tuple[Colour, ...]) -> Mask:
    """RGB picture (H, W, 3) uint8 -> raw ids (H, W) uint8. ValueError names the first unknown colours."""
    rgba = np.zeros((*picture.shape[:2], 4), np.uint8)
    cv2.mixChannels([picture], [rgba], [0, 0, 1, 1, 2, 2])
    code = rgba.view(np.uint32)[..., 0]
    ids = _id_of_colour(colours).take(code)
    if (ids == _UNKNOWN).any():
        unknown = np.unique(picture[ids == _UNKNOWN].reshape(-1, 3), axis=0)
        shown = ", ".join(str(tuple(int(v) for v in colour)) for colour in unknown[:5])
        raise ValueError(f"holds {len(unknown)} unknown colour(s), e.g. RGB {shown}; {len(colours)} are known")
    return ids

"""Finds the masks of images by their names."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from foldseg.discovery.names import NameParts

_MOST_CLASSES = 20
_ENOUGH = 0.5
"""Images and masks are paired by a rule if it finds the masks of at least this share of images."""
_LABEL_IDS = ("labelids", "labeltrainids", "label", "labels", "mask", "masks")
"""If an image has several kinds of masks, the first of these words in their names decides."""


@dataclass(frozen=True)
class Pairing:
    """How masks are found for images: the masks of each image, and what else their patterns have."""

    masks: dict[tuple[str, ...], list[NameParts]]
    """Key of the image -> its masks."""
    field_name: str = ""
    """`class` or `part`, if there are several masks for an image."""
    labels: tuple[str, ...] = ()
    """What `class` stands for."""
    is_class_a_folder: bool = False
    is_by_folder: bool = False
    """Whether an image and its masks have nothing in common but a folder of their own."""
    rest_of: Mapping[PurePosixPath, str] = field(default_factory=dict)
    """Path of a mask -> what follows in its name after that of its image, with the separator."""

    def masks_of(self, image: NameParts) -> list[NameParts]:
        """Return the masks of an image: of its own split, and one unless each is of a class or a part."""
        candidates = [mask for mask in self.masks.get(image.key, []) if not mask.split or mask.split == image.split]
        if self.field_name or not candidates:
            return candidates
        return [_choose_mask(candidates)]


def pair_masks(images: Sequence[NameParts], masks: Sequence[NameParts]) -> Pairing:
    """Return the masks of the images, by the first rule that finds those of enough images."""
    keys = {image.key for image in images}
    rules = (_pair_by_key, _pair_by_folder_of_class, _pair_by_rest, _pair_by_folder_of_image)
    for rule in rules:
        pairing = rule(images, masks)
        masked_splits = {mask.split for mask in masks}
        wanted = {image.key for image in images if image.split in masked_splits or len(masked_splits) == 1}
        if pairing.masks and len(pairing.masks) >= _ENOUGH * min(len(wanted) or len(keys), len(masks)):
            return pairing
    return Pairing({})


def _pair_by_key(images: Sequence[NameParts], masks: Sequence[NameParts]) -> Pairing:
    """The path of a mask is that of its image, but for words that say what it is."""
    keys = {image.key for image in images}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    for mask in masks:
        if mask.key in keys:
            found[mask.key].append(mask)
    return Pairing(dict(found))


def _choose_mask(candidates: Sequence[NameParts]) -> NameParts:
    """Return the mask that is likely to hold ids of classes, of several for one image."""

    def rank(mask: NameParts) -> int:
        words = mask.tail.lower().strip("_- .").replace("-", "_").split("_")
        return next((place for place, word in enumerate(_LABEL_IDS) if word in words), len(_LABEL_IDS))

    return min(candidates, key=rank)


def _pair_by_folder_of_class(images: Sequence[NameParts], masks: Sequence[NameParts]) -> Pairing:
    """Masks are in a folder for each class."""
    keys = {image.key for image in images}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    labels = Counter[str]()
    for mask in masks:
        if mask.folders and (*mask.folders[1:], mask.base) in keys:
            found[*mask.folders[1:], mask.base].append(mask)
            labels[mask.folders[0]] += 1
    if len(labels) == 1:  # a folder of all masks, whose name says nothing
        return Pairing({key: [replace(mask, places=mask.places[1:]) for mask in found[key]] for key in found})
    if not 1 <= len(labels) <= _MOST_CLASSES:
        return Pairing({})
    return Pairing(dict(found), "class", tuple(sorted(labels)), is_class_a_folder=True)


def _pair_by_rest(images: Sequence[NameParts], masks: Sequence[NameParts]) -> Pairing:
    """The name of a mask begins with that of its image. The rest names a class, or a part of the mask."""
    keys = {image.key for image in images}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    rests, rest_of = Counter[str](), dict[PurePosixPath, str]()
    for mask in masks:
        stem = mask.base
        for end in range(len(stem) - 1, 0, -1):
            if stem[end] in "_-. " and (*mask.folders, stem[:end]) in keys:
                found[*mask.folders, stem[:end]].append(mask)
                rests[stem[end + 1 :]] += 1
                rest_of[mask.path] = stem[end:]
                break
    if len(rests) == 1:  # a suffix of all masks
        tail = next(iter(rest_of.values()), "")
        return Pairing({key: [_add_tail(mask, tail) for mask in found[key]] for key in found})
    has_names = all(not rest.isdigit() for rest in rests)
    if found and has_names and len(rests) <= _MOST_CLASSES and len(rests) < len(masks):
        return Pairing(dict(found), "class", tuple(sorted(rests)), rest_of=rest_of)
    return Pairing(dict(found), "part", rest_of=rest_of)


def _add_tail(mask: NameParts, tail: str) -> NameParts:
    """Return a mask whose base ends in a suffix, with the suffix in its tail."""
    return replace(mask, base=mask.base.removesuffix(tail), tail=tail + mask.tail)


def _pair_by_folder_of_image(images: Sequence[NameParts], masks: Sequence[NameParts]) -> Pairing:
    """An image and all files of its mask are in a folder of their own."""
    folders = Counter(image.folders for image in images)
    key_of_folder = {image.folders: image.key for image in images if image.folders and folders[image.folders] == 1}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    for mask in masks:
        if mask.folders in key_of_folder:
            found[key_of_folder[mask.folders]].append(mask)
    return Pairing(dict(found), "part", is_by_folder=True)

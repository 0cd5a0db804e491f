"""What the name of a picture file says: whether it is an image or a mask, of which split, and of which image."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Role = Literal["image", "mask", ""]

_MASK_WORDS = {
    "mask", "masks", "label", "labels", "labelids", "labeltrainids", "gt", "gts", "gtfine", "gtcoarse", "groundtruth",
    "maske", "masken", "masque", "masques", "mascara", "mascaras", "seg", "segs", "segmentation", "segmentations",
    "segmentationclass", "annotation", "annotations", "annot", "annots", "ann", "target", "targets", "truth",
    "labelstr", "manual", "manual1", "manual2", "trainannot", "valannot", "testannot",
}  # fmt: skip
_IMAGE_WORDS = {
    "image", "images", "img", "imgs", "jpegimages", "leftimg8bit", "input", "inputs", "photo", "photos", "picture",
    "pictures", "rgb", "frame", "frames", "scan", "scans", "sat", "imagestr", "imagests", "original", "originals",
}  # fmt: skip
_SPLIT_WORDS = {
    "train": "train", "training": "train", "trainannot": "train", "imagestr": "train", "labelstr": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "valannot": "val",
    "test": "test", "testing": "test", "testannot": "test", "imagests": "test",
}  # fmt: skip
_FILLERS = {
    "dir",
    "and",
    "v1",
    "v2",
    "2d",
    "ground",
    "binary",
    "png",
    "jpg",
    "color",
    "colour",
    "raw",
    "original",
    "all",
}
"""Words that say nothing beside words of roles and splits."""
_SEPARATORS = re.compile(r"[_\-. ]+")
_TAIL_OF_CAMVID = "_L"


@dataclass(frozen=True)
class NameParts:
    """What the path of a picture says."""

    path: PurePosixPath
    role: Role
    split: str
    places: tuple[int, ...]
    """Places in the path of the folders whose names are no words of roles and splits. They are part of the key."""
    head: str
    base: str
    tail: str
    """The stem is `head + base + tail`; head and tail are words of roles."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders at `places`."""
        return tuple(self.path.parts[place] for place in self.places)

    @property
    def key(self) -> tuple[str, ...]:
        """What the path of an image has in common with that of its mask."""
        return (*self.folders, self.base) if self.base else self.folders


def parse_path(path: PurePosixPath) -> NameParts:
    """Return what the path of a picture, relative to the folder of the data, says."""
    head, base, tail = _divide_stem(path.stem)
    role, split, places = "", "", []
    for place, folder in enumerate(path.parts[:-1]):
        words = split_words(folder)
        roles = {_role_of(word) for word in words} - {""}
        splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
        role = roles.pop() if len(roles) == 1 else role
        split = splits.pop() if len(splits) == 1 else split
        if not is_literal(folder):
            places.append(place)
    is_mask = role == "mask" or _has_role(tail, "mask") or _has_role(head, "mask") or tail == _TAIL_OF_CAMVID
    is_image = role == "image" or _has_role(tail, "image") or _has_role(head, "image")
    final: Role = "mask" if is_mask else "image" if is_image else ""
    return NameParts(path, final, split, tuple(places), head, base, tail)


def split_words(text: str) -> list[str]:
    """Return the words of a name in small letters: `Train_Images` -> train, images."""
    return [word for word in _SEPARATORS.split(text.lower()) if word]


def is_literal(folder: str) -> bool:
    """Whether the name of a folder consists of words of roles and splits, such as `train_images`."""
    words = split_words(folder)
    known = [word for word in words if _role_of(word) or word in _SPLIT_WORDS]
    return bool(known) and all(word in known or word in _FILLERS for word in words)


def _role_of(word: str) -> Role:
    return "mask" if word in _MASK_WORDS else "image" if word in _IMAGE_WORDS else ""


def _has_role(text: str, role: Role) -> bool:
    return any(_role_of(word) == role for word in split_words(text))


def _divide_stem(stem: str) -> tuple[str, str, str]:
    """Return head, base and tail of a stem: `img_001_gtFine_labelIds` -> `img_`, `001`, `_gtFine_labelIds`."""
    if stem.endswith(_TAIL_OF_CAMVID) and len(stem) > len(_TAIL_OF_CAMVID):
        return "", stem[: -len(_TAIL_OF_CAMVID)], _TAIL_OF_CAMVID
    pieces = re.split(r"([_\-. ]+)", stem)  # words at even places, separators at odd ones
    first, last = 0, len(pieces)
    while last > first and _role_of(pieces[last - 1].lower()):
        last -= 2
    while first < last and _role_of(pieces[first].lower()):
        first += 2
    if last <= first:
        return stem, "", ""
    end = sum(map(len, pieces[:last]))
    start = sum(map(len, pieces[:first]))
    return stem[:start], stem[start:end], stem[end:]

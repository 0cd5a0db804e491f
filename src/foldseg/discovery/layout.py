"""Finds images and their masks in a folder, and the patterns that say where they are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from foldseg.data.patterns import MASK_FILES
from foldseg.discovery.files import find_files
from foldseg.discovery.mask_survey import looks_like_mask
from foldseg.discovery.names import NameParts, parse_path
from foldseg.errors import FoldsegError

_MOST_CLASSES = 20
_ENOUGH = 0.5
"""Images and masks are paired by a rule if it finds the masks of at least this share of images."""
_LABEL_IDS = ("labelids", "labeltrainids", "label", "labels", "mask", "masks")
"""If an image has several kinds of masks, the first of these words in their names decides."""


@dataclass
class FoundSplit:
    """The images of a split with their masks, and the patterns that find them."""

    name: str
    images: list[str] = field(default_factory=list)
    """Patterns."""
    masks: list[str] = field(default_factory=list)
    """Patterns. Empty if the split has no masks."""
    pairs: list[tuple[Path, list[Path]]] = field(default_factory=list)
    """Each image with the files of its mask."""


@dataclass
class FoundLayout:
    """Images and masks that were found in a folder."""

    splits: list[FoundSplit]
    id: str = "{id}"
    """How an id is made from the fields of a pattern."""
    labels: list[str] = field(default_factory=list)
    """What `{class}` stands for in the patterns of masks, if it is there."""
    passed_over: list[Path] = field(default_factory=list)
    """Pictures that are neither."""

    @property
    def pairs(self) -> list[tuple[Path, list[Path]]]:
        """The images of all splits with their masks."""
        return [pair for split in self.splits for pair in split.pairs]


@dataclass(frozen=True)
class _Pairing:
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


def find_layout(root: Path) -> FoundLayout:
    """Return the images and masks below a folder. FoldsegError if there are no pictures."""
    files = find_files(root, MASK_FILES)
    if not files:
        raise FoldsegError(f"{root}: holds no pictures")
    names = [parse_path(PurePosixPath(path.relative_to(root).as_posix())) for path in files]
    images = [name for name in names if name.role != "mask"]
    masks = [name for name in names if name.role == "mask"]
    if not masks:
        images, masks = _tell_by_content(root, images)
    if not images:
        raise FoldsegError(f"{root}: all its {len(masks)} pictures look like masks; where are the images?")
    images, masks = _drop_common_folders(images, masks)
    images = _choose_images(images)
    pairing = _pair(images, masks)
    return _build_layout(root, images, pairing, masks)


def _tell_by_content(root: Path, names: Sequence[NameParts]) -> tuple[list[NameParts], list[NameParts]]:
    """Divide pictures whose names say nothing into images and masks, folder by folder, by what some of them hold."""
    by_folder: dict[PurePosixPath, list[NameParts]] = defaultdict(list)
    for name in names:
        by_folder[name.path.parent].append(name)
    images, masks = list[NameParts](), list[NameParts]()
    for members in by_folder.values():
        step = max(1, len(members) // 3)
        looks = [looks_like_mask(root / member.path) for member in members[::step]]
        is_mask = len(by_folder) > 1 and all(looks)
        (masks if is_mask else images).extend(members)
    if not images:
        return list(names), []
    if masks:  # their last folders are what tells images and masks apart, so they are no part of the key
        images = [replace(name, places=name.places[:-1]) for name in images]
        masks = [replace(name, role="mask", places=name.places[:-1]) for name in masks]
    return images, masks


def _drop_common_folders(
    images: Sequence[NameParts], masks: Sequence[NameParts]
) -> tuple[list[NameParts], list[NameParts]]:
    """Drop the folders from the keys that all images share, and those that all masks share."""
    return _drop_shared(images), _drop_shared(masks)


def _drop_shared(names: Sequence[NameParts]) -> list[NameParts]:
    if not names:
        return []
    depth = min(len(name.folders) for name in names)
    shared = 0
    while shared < depth and len({name.folders[shared] for name in names}) == 1:
        shared += 1
    if shared and any(not name.base and len(name.folders) == shared for name in names):
        shared -= 1
    return [replace(name, places=name.places[shared:]) for name in names]


def _choose_images(images: Sequence[NameParts]) -> list[NameParts]:
    """Return the pictures that are called images, if there are any; of a split without such ones, all."""
    named = [name for name in images if name.role == "image"]
    if not named:
        return list(images)
    named_splits = {name.split for name in named}
    return [name for name in images if name.role == "image" or (name.split and name.split not in named_splits)]


def _pair(images: Sequence[NameParts], masks: Sequence[NameParts]) -> _Pairing:
    """Return the masks of the images, by the first rule that finds those of enough images."""
    keys = {image.key for image in images}
    rules = (_pair_by_key, _pair_by_folder_of_class, _pair_by_rest, _pair_by_folder_of_image)
    for rule in rules:
        pairing = rule(images, masks)
        masked_splits = {mask.split for mask in masks}
        wanted = {image.key for image in images if image.split in masked_splits or len(masked_splits) == 1}
        if pairing.masks and len(pairing.masks) >= _ENOUGH * min(len(wanted) or len(keys), len(masks)):
            return pairing
    return _Pairing({})


def _pair_by_key(images: Sequence[NameParts], masks: Sequence[NameParts]) -> _Pairing:
    """The path of a mask is that of its image, but for words that say what it is."""
    keys = {image.key for image in images}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    for mask in masks:
        if mask.key in keys:
            found[mask.key].append(mask)
    return _Pairing(dict(found))


def _choose_mask(candidates: Sequence[NameParts]) -> NameParts:
    """Return the mask that is likely to hold ids of classes, of several for one image."""

    def rank(mask: NameParts) -> int:
        words = mask.tail.lower().strip("_- .").replace("-", "_").split("_")
        return next((place for place, word in enumerate(_LABEL_IDS) if word in words), len(_LABEL_IDS))

    return min(candidates, key=rank)


def _pair_by_folder_of_class(images: Sequence[NameParts], masks: Sequence[NameParts]) -> _Pairing:
    """Masks are in a folder for each class."""
    keys = {image.key for image in images}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    labels = Counter[str]()
    for mask in masks:
        if mask.folders and (*mask.folders[1:], mask.base) in keys:
            found[*mask.folders[1:], mask.base].append(mask)
            labels[mask.folders[0]] += 1
    if not 1 <= len(labels) <= _MOST_CLASSES:
        return _Pairing({})
    return _Pairing(dict(found), "class", tuple(sorted(labels)), is_class_a_folder=True)


def _pair_by_rest(images: Sequence[NameParts], masks: Sequence[NameParts]) -> _Pairing:
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
    has_names = all(not rest.isdigit() for rest in rests)
    if found and has_names and len(rests) <= _MOST_CLASSES and len(rests) < len(masks):
        return _Pairing(dict(found), "class", tuple(sorted(rests)), rest_of=rest_of)
    return _Pairing(dict(found), "part", rest_of=rest_of)


def _pair_by_folder_of_image(images: Sequence[NameParts], masks: Sequence[NameParts]) -> _Pairing:
    """An image and all files of its mask are in a folder of their own."""
    folders = Counter(image.folders for image in images)
    key_of_folder = {image.folders: image.key for image in images if image.folders and folders[image.folders] == 1}
    found: dict[tuple[str, ...], list[NameParts]] = defaultdict(list)
    for mask in masks:
        if mask.folders in key_of_folder:
            found[key_of_folder[mask.folders]].append(mask)
    return _Pairing(dict(found), "part", is_by_folder=True)


def _build_layout(
    root: Path, images: Sequence[NameParts], pairing: _Pairing, masks: Sequence[NameParts]
) -> FoundLayout:
    """Return splits with their patterns, `train` first."""
    members = _divide_into_splits(images, pairing)
    has_fields = _needs_fields([*images, *(mask for image in images for mask in pairing.masks_of(image))], pairing)
    splits, used = [], set[PurePosixPath]()
    for name in sorted(members, key=("train", "val", "test").index):
        of_split = [mask for image in members[name] for mask in pairing.masks_of(image)]
        split = FoundSplit(
            name,
            _list_patterns([(image, _make_image_pattern(image, has_fields, pairing)) for image in members[name]]),
            _list_patterns([(mask, _make_mask_pattern(mask, has_fields, pairing)) for mask in of_split]),
        )
        for image in members[name]:
            files = pairing.masks_of(image)
            split.pairs.append((root / image.path, [root / mask.path for mask in files]))
            used |= {image.path, *(mask.path for mask in files)}
        splits.append(split)
    template = "{folder}_{name}" if has_fields else "{id}"
    others = [root / name.path for name in (*images, *masks) if name.path not in used]
    return FoundLayout(splits, template, list(pairing.labels), others)


def _divide_into_splits(images: Sequence[NameParts], pairing: _Pairing) -> dict[str, list[NameParts]]:
    """Return the images of each split. Without a word for it, folders of images without any mask are `test`."""
    with_masks = {image.path.parent for image in images if pairing.masks_of(image)}
    members: dict[str, list[NameParts]] = defaultdict(list)
    for image in images:
        is_train = image.path.parent in with_masks or image.places or not pairing.masks
        members[image.split or ("train" if is_train else "test")].append(image)
    return members


def _needs_fields(names: Sequence[NameParts], pairing: _Pairing) -> bool:
    """Whether an id cannot be one part of a path: it is made of a folder and a name that do not follow each other."""
    return any(_is_divided(name, pairing) for name in names)


def _is_divided(name: NameParts, pairing: _Pairing) -> bool:
    places = _id_places(name, pairing)
    if not places or not name.base or pairing.is_by_folder:
        return False
    if name.path.parts[places[-1]] == name.base and len(places) == 1:
        return False
    follows = places == tuple(range(len(name.path.parts) - 1 - len(places), len(name.path.parts) - 1))
    return not follows or bool(name.head)


def _id_places(name: NameParts, pairing: _Pairing) -> tuple[int, ...]:
    """Return the places of folders that are part of the id: without that of a class."""
    is_class_folder = name.role == "mask" and pairing.field_name == "class" and pairing.is_class_a_folder
    return name.places[1:] if is_class_folder else name.places


def _make_image_pattern(image: NameParts, has_fields: bool, pairing: _Pairing) -> str:
    parts = list(image.path.parts[:-1])
    if pairing.is_by_folder and image.base and image.folders[-1:] != (image.base,):
        return _join(parts, image.places, "{id}", "*")
    return _join_id(image, parts, image.places, f"{image.head}{{id}}{image.tail}", has_fields)


def _make_mask_pattern(mask: NameParts, has_fields: bool, pairing: _Pairing) -> str:
    parts = list(mask.path.parts[:-1])
    if pairing.is_by_folder:
        return _join(parts, mask.places, "{id}", "{part}")
    places = _id_places(mask, pairing)
    if places != mask.places:
        parts[mask.places[0]] = "{class}"
    base = "{id}"
    if pairing.field_name and not pairing.is_class_a_folder:
        rest = pairing.rest_of[mask.path]
        base = f"{{id}}{rest[0]}{{{pairing.field_name}}}"
    return _join_id(mask, parts, places, f"{mask.head}{base}{mask.tail}", has_fields)


def _join_id(name: NameParts, parts: list[str], places: tuple[int, ...], stem: str, has_fields: bool) -> str:
    """Return the pattern of a path whose id is in the folders at `places`, and in the stem, if it has a base."""
    if not name.base:
        return _join(parts, places, "{id}", name.path.stem)
    if len(places) == 1 and parts[places[0]] == name.base and not has_fields:
        return _join(parts, places, "{id}", stem)
    if has_fields:
        return _join(parts, places, "{folder}", stem.replace("{id}", "{name}"))
    kept = [part for place, part in enumerate(parts) if place not in places]
    return "/".join([*kept, stem])


def _join(parts: list[str], places: tuple[int, ...], field_name: str, stem: str) -> str:
    """Return a pattern in which the folders at `places` are one field."""
    kept = [part for place, part in enumerate(parts) if place not in places[1:]]
    if places:
        kept[places[0]] = field_name
    return "/".join([*kept, stem])


def _list_patterns(found: Iterable[tuple[NameParts, str]]) -> list[str]:
    """Return the patterns of files, the most used first. A suffix that differs between files of a pattern is `.*`."""
    suffixes: dict[str, Counter[str]] = defaultdict(Counter)
    for name, pattern in found:
        suffixes[pattern][name.path.suffix.lower()] += 1
    ordered = sorted(suffixes, key=lambda pattern: -suffixes[pattern].total())
    return [f"{pattern}{next(iter(suffixes[pattern])) if len(suffixes[pattern]) == 1 else '.*'}" for pattern in ordered]

"""Finds images and their masks in a folder, and the patterns that say where they are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from foldseg.data.patterns import MASK_FILES
from foldseg.discovery.files import find_files
from foldseg.discovery.mask_survey import looks_like_mask
from foldseg.discovery.names import NameParts, parse_path
from foldseg.discovery.pairing import Pairing, pair_masks
from foldseg.errors import FoldsegError


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
    images, masks = _choose_images(_blank_fixed_stems(images)), _blank_fixed_stems(masks)
    without_shared = _drop_shared(images), _drop_shared(masks)
    pairing = pair_masks(*without_shared)
    if pairing.masks or not masks:
        images, masks = without_shared
    else:  # a folder of test images may be beside the folder that all others share
        pairing = pair_masks(images, masks)
        images = _fix_folders_without_masks(images, pairing)
    return _build_layout(root, images, pairing, masks)


def _blank_fixed_stems(names: Sequence[NameParts]) -> list[NameParts]:
    """Return names without a base where all files below a folder have one name, each in a folder of its own."""
    by_top: dict[str, list[NameParts]] = defaultdict(list)
    for name in names:
        by_top[name.path.parts[0] if len(name.path.parts) > 2 else ""].append(name)
    blanked: dict[PurePosixPath, NameParts] = {}
    for members in by_top.values():
        stems, parents = {name.path.stem for name in members}, {name.path.parent for name in members}
        have_folders = all(name.places for name in members)
        if len(stems) == 1 and len(parents) == len(members) > 1 and have_folders:
            blanked |= {name.path: replace(name, head="", base="", tail="") for name in members}
    return [blanked.get(name.path, name) for name in names]


def _fix_folders_without_masks(images: Sequence[NameParts], pairing: Pairing) -> list[NameParts]:
    """Return images with fixed folders where no image below their outermost folder has a mask."""
    masked = {image.path.parts[0] for image in images if pairing.masks_of(image)}
    return [image if image.path.parts[0] in masked else replace(image, places=()) for image in images]


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


def _drop_shared(names: Sequence[NameParts]) -> list[NameParts]:
    """Return names without the folders in their keys that all of them share."""
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


def _build_layout(root: Path, images: Sequence[NameParts], pairing: Pairing, masks: Sequence[NameParts]) -> FoundLayout:
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


def _divide_into_splits(images: Sequence[NameParts], pairing: Pairing) -> dict[str, list[NameParts]]:
    """Return the images of each split. Without a word for it, folders of images without any mask are `test`."""
    with_masks = {image.path.parent for image in images if pairing.masks_of(image)}
    members: dict[str, list[NameParts]] = defaultdict(list)
    for image in images:
        is_train = image.path.parent in with_masks or image.places or not pairing.masks
        members[image.split or ("train" if is_train else "test")].append(image)
    return members


def _needs_fields(names: Sequence[NameParts], pairing: Pairing) -> bool:
    """Whether an id cannot be one part of a path: it is made of a folder and a name that do not follow each other."""
    return any(_is_divided(name, pairing) for name in names)


def _is_divided(name: NameParts, pairing: Pairing) -> bool:
    places = _id_places(name, pairing)
    if not places or not name.base or pairing.is_by_folder:
        return False
    if name.path.parts[places[-1]] == name.base and len(places) == 1:
        return False
    follows = places == tuple(range(len(name.path.parts) - 1 - len(places), len(name.path.parts) - 1))
    return not follows or bool(name.head)


def _id_places(name: NameParts, pairing: Pairing) -> tuple[int, ...]:
    """Return the places of folders that are part of the id: without that of a class."""
    is_class_folder = name.role == "mask" and pairing.field_name == "class" and pairing.is_class_a_folder
    return name.places[1:] if is_class_folder else name.places


def _make_image_pattern(image: NameParts, has_fields: bool, pairing: Pairing) -> str:
    parts = list(image.path.parts[:-1])
    if pairing.is_by_folder and image.base and image.folders[-1:] != (image.base,):
        return _join(parts, image.places, "{id}", "*")
    return _join_id(image, parts, image.places, f"{image.head}{{id}}{image.tail}", has_fields)


def _make_mask_pattern(mask: NameParts, has_fields: bool, pairing: Pairing) -> str:
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

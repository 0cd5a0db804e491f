"""Images and masks in folders, found by the patterns of the settings. See `config.schema.Folders`."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from foldseg.config.schema import Data, Folders
from foldseg.config.schema.own_data import SplitFiles
from foldseg.data.drawn_masks import MaskPart, MaskParts, draw_masks, get_drawn_folder
from foldseg.data.own_classes import list_classes, make_label_set
from foldseg.data.own_ids import drop_picture_suffix, make_safe_ids
from foldseg.data.own_paths import relative_to_root
from foldseg.data.patterns import MASK_FILES, Match, Pattern, compile_patterns, find_matches
from foldseg.data.samples import build_samples_table, require_folder, shorten
from foldseg.errors import FoldsegError
from foldseg.inputs import read_text
from foldseg.notices import say_once

TEST = "test"
_FATES = {"leave_out": "are left out", "background": "are taken as background", "test": "are of the split test"}
Row = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class _Split:
    """What was found of one split. Names are what `{id}` stands for."""

    name: str
    images: Mapping[str, Match]
    masks: Mapping[str, Sequence[Match]]
    """Name -> the files of its mask; one, unless masks are drawn."""
    has_masks: bool
    """Whether the settings name masks of this split."""


def scan(data: Data) -> pd.DataFrame:
    """Return the samples table of images in folders.

    FoldsegError if a folder is missing, if a split has no images, and if images lack their masks, unless the settings
    say what is done then.
    """
    settings, root = data.dataset, data.root
    assert isinstance(settings, Folders)
    require_folder(root)
    splits = [_find_split(name, files, settings, root) for name, files in settings.splits.items()]
    ids = _choose_ids(splits, root)
    masks = _find_mask_files(splits, ids, data)
    rows: list[Row] = []
    for split in splits:
        for name, image in split.images.items():
            sample = ids[split.name, name]
            if sample in masks.left_out:
                continue
            group, stratum = image.fields.get("group", sample), image.fields.get("stratum", "")
            path, mask = relative_to_root(image.path, root), masks.file_of_id.get(sample, "")
            part = TEST if sample in masks.tests else split.name
            rows.append((sample, path, mask, part, group, stratum))
    return build_samples_table(rows, root)


def _find_split(name: str, files: SplitFiles, settings: Folders, root: Path) -> _Split:
    key = f"data.dataset.splits.{name}"
    labels = [entry.label or entry.name for entry in list_classes(settings)]
    mask_patterns = compile_patterns(files.masks, f"{key}.masks", settings.id, labels)
    images = _find_images(files, mask_patterns, key, settings, root)
    if files.list is not None:
        images = _select_listed(images, root / files.list, root)
    found = find_matches(root, mask_patterns, get_drawn_folder(settings, root), (*MASK_FILES, ".npy"))
    if files.masks and not found:
        raise FoldsegError(f"{key}.masks: no file below {root} is like {' or '.join(files.masks)}")
    masks: dict[str, list[Match]] = defaultdict(list)
    for match in found:
        masks[match.fields["id"]].append(match)
    _warn_of_masks_without_image(masks, images, key, files.list is not None)
    if not settings.draws_masks:
        _refuse_several_masks(masks, key)
    return _Split(name, images, {image: masks[image] for image in images if image in masks}, bool(files.masks))


def _find_images(
    files: SplitFiles, mask_patterns: Sequence[Pattern], key: str, settings: Folders, root: Path
) -> dict[str, Match]:
    """Return the images of a split by name. Files that are masks are left out."""
    images: dict[str, Match] = {}
    patterns = compile_patterns(files.images, f"{key}.images", settings.id)
    for match in find_matches(root, patterns, get_drawn_folder(settings, root)):
        relative = match.path.relative_to(root).as_posix()
        if any(pattern.match(relative) is not None for pattern in mask_patterns):
            continue
        name = match.fields["id"]
        if name in images:
            raise FoldsegError(f"{key}: {images[name].path} and {match.path} have one id, {name}; rename one of them")
        images[name] = match
    if not images:
        raise FoldsegError(f"{key}.images: no image below {root} is like {' or '.join(files.images)}")
    return images


def _select_listed(images: Mapping[str, Match], path: Path, root: Path) -> dict[str, Match]:
    """Return the images of a list, in the order of names. FoldsegError for a line that is no image.

    A line is an id, a name of a file, or a path; or, in a line of several words, the first word is. Empty lines and
    lines that begin with `#` are passed over.
    """
    names: dict[str, str] = {}
    for name, match in images.items():
        relative = match.path.relative_to(root)
        for alias in (name, match.path.name, match.path.stem, relative.as_posix(), relative.with_suffix("").as_posix()):
            names.setdefault(alias, name)
    chosen = dict[str, Match]()
    unknown = []
    for line in read_text(path).splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        candidates = [text, *text.split()[:1]]
        aliases = [alias for candidate in candidates for alias in _list_aliases(candidate)]
        known = [names[alias] for alias in aliases if alias in names]
        if known:
            chosen[known[0]] = images[known[0]]
        else:
            unknown.append(text)
    if unknown:
        raise FoldsegError(f"{path}: {len(unknown)} of its lines are no image of this split: {shorten(unknown)}")
    if not chosen:
        raise FoldsegError(f"{path}: names no image")
    left_out = len(images) - len(chosen)
    if left_out:
        others = [name for name in images if name not in chosen]
        say_once(f"{path}: {left_out} image(s) are not in the list: {shorten(others)}", level=logging.INFO)
    return {name: chosen[name] for name in images if name in chosen}


def _list_aliases(text: str) -> list[str]:
    """Return the names that may be meant by a line of a list, the likeliest first."""
    path = PurePosixPath(text.replace("\\", "/").lstrip("/"))
    return [text, path.as_posix(), drop_picture_suffix(path.as_posix()), path.name, drop_picture_suffix(path.name)]


def _warn_of_masks_without_image(
    masks: Mapping[str, Sequence[Match]], images: Mapping[str, Match], key: str, is_listed: bool
) -> None:
    spare = [matches[0].path for name, matches in masks.items() if name not in images]
    if spare and not is_listed:
        say_once(f"{key}.masks: {len(spare)} mask(s) without an image are passed over, e.g. {spare[0]}")


def _refuse_several_masks(masks: Mapping[str, Sequence[Match]], key: str) -> None:
    for name, matches in masks.items():
        if len(matches) > 1:
            raise FoldsegError(
                f"{key}.masks: {matches[0].path} and {matches[1].path} are both masks of {name}; for a file per class "
                "use {class} in the pattern, for several parts of one mask use {part}"
            )


def _choose_ids(splits: Sequence[_Split], root: Path) -> dict[tuple[str, str], str]:
    """Return the id of each image by split and name.

    If a split shares names with another one, the split is put before all its names. Names of test images stay as they
    are, since submissions hold them.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    for split in splits:
        for name in split.images:
            owners[name].append(split.name)
    shared = {name: names for name, names in owners.items() if len(names) > 1}
    prefixed = {split for names in shared.values() for split in names} - {TEST}
    if shared:
        example = next(iter(shared))
        say_once(
            f"{root}: {len(shared)} names are in several splits, e.g. {example}; ids of images of "
            f"{' and '.join(sorted(prefixed))} begin with the split: {min(prefixed)}_{example}",
            level=logging.INFO,
        )
    names = {
        (split.name, name): f"{split.name}_{name}" if split.name in prefixed else name
        for split in splits
        for name in split.images
    }
    safe = make_safe_ids(names.values(), str(root))
    return {key: safe[name] for key, name in names.items()}


@dataclass(frozen=True)
class _MaskFiles:
    """The mask of each image by id, relative to the root; and what becomes of images that have none."""

    file_of_id: Mapping[str, str]
    left_out: frozenset[str]
    tests: frozenset[str]


def _find_mask_files(splits: Sequence[_Split], ids: Mapping[tuple[str, str], str], data: Data) -> _MaskFiles:
    """Return the masks of all images. Those that are drawn from several files, or are empty, are drawn."""
    settings, root = data.dataset, data.root
    assert isinstance(settings, Folders)
    unmasked = _list_unmasked(splits, ids)
    if unmasked and settings.unmasked == "refuse":
        raise FoldsegError(
            f"{next(iter(unmasked.values()))}: has no mask ({len(unmasked)} such image(s)); to leave such images out, "
            "set data.dataset.unmasked=leave_out; if they show none of the classes, unmasked=background"
        )
    if unmasked:
        fate = _FATES[settings.unmasked]
        say_once(f"{root}: {len(unmasked)} image(s) without a mask {fate}: {shorten(unmasked)}")
    left_out = frozenset(unmasked if settings.unmasked == "leave_out" else ())
    tests = frozenset(unmasked if settings.unmasked == "test" else ())
    files: dict[str, str] = {}
    to_draw: list[MaskParts] = []
    index_of_label = {entry.label or entry.name: index for index, entry in enumerate(list_classes(settings))}
    for split in splits:
        for name, image in split.images.items():
            sample = ids[split.name, name]
            matches = split.masks.get(name, ())
            if settings.draws_masks and split.has_masks and sample not in left_out | tests:
                parts = tuple(_list_parts(matches, index_of_label))
                to_draw.append(MaskParts(sample, image.path, parts))
            elif matches:
                files[sample] = relative_to_root(matches[0].path, root)
            elif sample in unmasked and settings.unmasked == "background":
                to_draw.append(MaskParts(sample, image.path, ()))
    drawn = draw_masks(to_draw, settings, make_label_set(settings), root, data.pictures)
    files |= {name: relative_to_root(path, root) for name, path in drawn.items()}
    return _MaskFiles(files, left_out, tests)


def _list_unmasked(splits: Iterable[_Split], ids: Mapping[tuple[str, str], str]) -> dict[str, Path]:
    """Return the images, by id, that should have a mask and have none."""
    return {
        ids[split.name, name]: image.path
        for split in splits
        if split.has_masks
        for name, image in split.images.items()
        if name not in split.masks
    }


def _list_parts(matches: Sequence[Match], index_of_label: Mapping[str, int]) -> Iterable[MaskPart]:
    """Return the parts of a mask, in the order of the classes."""
    parts = []
    for match in matches:
        label = match.fields.get("class")
        index = len(index_of_label) - 1 if label is None else index_of_label[label]
        parts.append(MaskPart(index, match.path, str(match.path)))
    return sorted(parts, key=lambda part: part.class_index)

"""nnU-Net's layout for pictures: `dataset.json`, `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, `imagesTs`.

A label that is a list of ids is a region; regions overlap. The label `ignore` is void. An image with one file for each
channel (`_0000`, `_0001`, ...) is joined into one file.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from foldseg.config.class_files import has_shared_ids, read_class_file
from foldseg.data.listing import list_files
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.importing.annotations import AnnotatedImage, AnnotationFormat, Annotations, ImportSettings
from foldseg.importing.mask_folders import NO_IMAGE, NO_MASK, read_classes_of_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.sniff import folders_below, holds_keys

_DESCRIPTION = "dataset.json"
_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_FOLDERS = (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "test"))


def recognises(path: Path) -> bool:
    """Return whether a folder, or one in it, has `dataset.json` and `imagesTr`."""
    return _find_root(path) is not None


def _find_root(path: Path) -> Path | None:
    folders = folders_below(path, 1) if path.is_dir() else ()
    return next(
        (f for f in folders if (f / "imagesTr").is_dir() and holds_keys(f / _DESCRIPTION, "labels")), None
    )  # fmt: skip


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read cases and labels. FoldsegError if the pictures are volumes, or a case lacks a channel."""
    root = _find_root(source)
    if root is None:
        raise FoldsegError(f"{source}: has no {_DESCRIPTION} and imagesTr")
    path = root / _DESCRIPTION
    content = read_json(path)
    ending = str(content.get("file_ending", ".png"))
    if ending.lower() not in _ENDINGS:
        raise FoldsegError(
            f"{path}: file_ending is {ending!r}; only pictures are read, {', '.join(_ENDINGS)}, not volumes"
        )
    channels = len(content.get("channel_names", content.get("modality", {"0": ""}))) or 1
    images = [
        image
        for folder, labels, split in _FOLDERS
        for image in _read_cases(root, folder, labels, split, channels, ending, remarks)
    ]
    entries = read_class_file(path)
    classes, void = read_classes_of_ids(path, entries)
    overlapping = has_shared_ids(entries)
    background = _background_ids(content["labels"]) if overlapping else ()
    return Annotations(classes, images, "ids", void, overlapping, background)


def _background_ids(labels: dict[str, Any]) -> tuple[int, ...]:
    value = labels.get("background", 0)
    return tuple(value) if isinstance(value, list) else (int(value),)


def _read_cases(
    root: Path, folder: str, labels: str, split: str, channels: int, ending: str, remarks: Remarks
) -> list[AnnotatedImage]:
    files = list_files(root / folder, (ending,)).files if (root / folder).is_dir() else []
    masks = list_files(root / labels, (ending,)).by_stem if (root / labels).is_dir() else {}
    cases = defaultdict[str, dict[int, Path]](dict)
    for file in files:
        match = _CHANNEL.fullmatch(file.stem)
        if not match:
            raise FoldsegError(f"{file}: its name should end in the number of its channel, e.g. {file.stem}_0000")
        cases[match[1]][int(match[2])] = file
    images = []
    for case, file_of_channel in sorted(cases.items()):
        if sorted(file_of_channel) != list(range(channels)):
            raise FoldsegError(
                f"{root / folder}: the case {case} has the channels {sorted(file_of_channel)}; {_DESCRIPTION} names "
                f"{channels}"
            )
        parts = tuple(file_of_channel[number] for number in range(channels))
        mask = masks.pop(case, None)
        if mask is None and split != "test":
            remarks.add(NO_MASK, str(parts[0]))
        name = f"{split}/{case}{ending}"
        images.append(
            AnnotatedImage(
                name, str(mask or parts[0]), parts[0], split, mask=mask, channels=parts if channels > 1 else ()
            )
        )
    for mask in masks.values():
        remarks.add(NO_IMAGE, str(mask))
    return images


NNUNET = AnnotationFormat("nnunet", "a folder with `dataset.json`, `imagesTr` and `labelsTr`", recognises, read)

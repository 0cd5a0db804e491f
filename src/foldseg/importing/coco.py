"""COCO JSON: polygons, and run-length masks, plain or compressed. Also Roboflow's `_annotations.coco.json`.

Layouts: one or several files, beside the images (Roboflow: `train/_annotations.coco.json`), or in `annotations/`
beside folders of images (`annotations/instances_val2017.json`). The split is taken from the name of the file or folder.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foldseg.data.rle_text import decode_coco_counts, decode_coco_text
from foldseg.errors import FoldsegError, short_name
from foldseg.files import read_json
from foldseg.importing.annotations import (
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    SourceClass,
    normalise_split,
)
from foldseg.importing.find_images import ImageFinder
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Bitmap, Form, Polygon, Shape, Size, read_points
from foldseg.importing.sniff import folders_below, holds_keys, json_files

_SPLIT = re.compile(r"(?:^|[_\-. ])(train|training|val|valid|validation|test)(?=$|[_\-. ]|\d)", re.IGNORECASE)
_MOST_FOLDERS = 2
"""Depth at which files are searched."""


def recognises(path: Path) -> bool:
    """Return whether a file, or one in a folder, has the keys of COCO."""
    return bool(_find_files(path))


def _find_files(path: Path) -> list[Path]:
    """Return the JSON files of a source. Of COCO's own, those of instances are taken, not keypoints and captions."""
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".json" and _is_coco(path) else []
    files = [file for folder in folders_below(path, _MOST_FOLDERS) for file in json_files(folder) if _is_coco(file)]
    instances = [file for file in files if file.name.startswith("instances")]
    return instances or files


def _is_coco(path: Path) -> bool:
    return holds_keys(path, "images", "annotations", "categories")


@dataclass(frozen=True)
class _File:
    """A parsed file: `names` of classes by category id, and annotations by image id."""

    path: Path
    images: list[dict[str, Any]]
    names: dict[Any, str]
    annotations: dict[Any, list[dict[str, Any]]]


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read all COCO files of a source. Classes of the same name in several files, or with several ids, are one."""
    files = [_parse(path, remarks) for path in _find_files(source)]
    classes = list(dict.fromkeys(name for file in files for name in file.names.values()))
    used = {name for file in files for name in _used_names(file)}
    unused = [name for name in classes if name not in used]
    if len(unused) < len(classes):
        for name in unused:
            remarks.add("categories without an annotation are left out", repr(name))
        classes = [name for name in classes if name in used]
    root = source if source.is_dir() else source.parent
    images, unused_files = list[AnnotatedImage](), set[Path]()
    for file in files:
        finder = ImageFinder([settings.images] if settings.images else _image_folders(file.path, root))
        split = _split_of(file.path, root)
        hints = {split, *re.split(r"[_. ]", file.path.stem.lower())}
        images += [_read_image(file, record, split, hints, finder, remarks) for record in file.images]
        unused_files.update(finder.unused())
    named = {image.file for image in images}
    return Annotations(
        [SourceClass(name) for name in classes],
        images,
        coco_rule=True,
        unused_files=sorted(unused_files - named),
    )


def _image_folders(path: Path, root: Path) -> list[Path]:
    """Return where images may be: beside the file; if it is in a folder of annotations, beside that."""
    own = path.parent
    is_apart = own.name.lower().startswith(("annotation", "label", "json"))
    return [own.parent if is_apart and own != root else own, root, *([own.parent] if is_apart else [])]


def _split_of(path: Path, root: Path) -> str:
    """Return the split that a file's name or its folder says."""
    names = [path.stem]
    if path.parent != root:
        names.append(path.parent.name)
    if path.name.startswith("_annotations"):
        return normalise_split(path.parent.name) if path.parent != root else "train"
    for name in names:
        match = _SPLIT.search(name)
        if match:
            return normalise_split(match[1])
    return "train"


def _parse(path: Path, remarks: Remarks) -> _File:
    content = read_json(path)
    images, categories, annotations = (_list_of(path, content, key) for key in ("images", "categories", "annotations"))
    names = {}
    for index, category in enumerate(categories):
        if not isinstance(category.get("id"), int | str) or not isinstance(category.get("name"), str):
            raise FoldsegError(f"{path}: categories[{index}] has no id and name")
        if category["id"] in names:
            raise FoldsegError(f"{path}: categories[{index}]: the id {category['id']} occurs twice")
        names[category["id"]] = category["name"].strip()
    image_ids = set[Any]()
    for index, image in enumerate(images):
        if not isinstance(image.get("id"), int | str) or not isinstance(image.get("file_name"), str):
            raise FoldsegError(f"{path}: images[{index}] has no id and file_name")
        if image["id"] in image_ids:
            raise FoldsegError(f"{path}: images[{index}]: the id {image['id']} occurs twice")
        image_ids.add(image["id"])
    by_image = defaultdict[Any, list[dict[str, Any]]](list)
    for index, annotation in enumerate(annotations):
        place = f"{path}: annotation {annotation.get('id', f'number {index}')}"
        if not all(isinstance(annotation.get(key), int | str) for key in ("image_id", "category_id")):
            raise FoldsegError(f"{place}: has no image_id and category_id")
        if annotation["image_id"] not in image_ids:
            remarks.add("annotations of an image that is not in the file are left out", place)
        elif annotation["category_id"] not in names:
            raise FoldsegError(
                f"{place}: its category_id {annotation['category_id']} is none of the categories' ids, "
                f"{', '.join(map(str, names))}"
            )
        else:
            by_image[annotation["image_id"]].append(annotation)
    return _File(path, images, names, by_image)


def _list_of(path: Path, content: Any, key: str) -> list[dict[str, Any]]:
    values = content.get(key) if isinstance(content, dict) else None
    if not isinstance(values, list) or not all(isinstance(item, dict) for item in values):
        raise FoldsegError(f"{path}: {key} should be a list of mappings, as in COCO")
    return values


def _used_names(file: _File) -> set[str]:
    return {file.names[annotation["category_id"]] for group in file.annotations.values() for annotation in group}


def _read_image(
    file: _File, record: dict[str, Any], split: str, hints: Collection[str], finder: ImageFinder, remarks: Remarks
) -> AnnotatedImage:
    name, entry = record["file_name"], f"{file.path}: image {record['id']} ({short_name(record['file_name'])})"
    height, width = record.get("height"), record.get("width")
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise FoldsegError(f"{entry}: has no width and height in whole pixels")
    annotations = file.annotations.get(record["id"], [])
    if not annotations:
        remarks.add("images have no annotation; all of each is background", entry)
    prefix = f"{split}/" if "/" not in name and "\\" not in name else ""
    image_file = finder.find(name, hints)
    reader = partial(_read_shapes, file.path, annotations, file.names, (height, width), remarks)
    return AnnotatedImage(
        prefix + name, entry, image_file, split, (height, width), reader, group=_group_of(image_file, name)
    )


def _group_of(file: Path | None, name: str) -> str:
    """Return what augmented copies by Roboflow have in common: the name before `.rf.`. "" for others."""
    before, mark, _ = (file.name if file else name).partition(".rf.")
    return before if mark else ""


def _read_shapes(
    path: Path, annotations: Sequence[dict[str, Any]], names: dict[Any, str], size: Size, remarks: Remarks
) -> list[Shape]:
    """Return the shapes of an image, in the order of the file. What is no area is skipped and counted."""
    shapes = []
    for annotation in annotations:
        entry = f"{path}: annotation {annotation.get('id')}"
        segmentation = annotation.get("segmentation")
        if not segmentation:
            remarks.add("annotations without a segmentation (only a box, or nothing) are skipped", entry)
            continue
        try:
            form = _read_form(segmentation, size)
        except ValueError as error:
            raise FoldsegError(f"{entry}: {error}") from None
        if form is None:
            remarks.add("polygons of less than three points are skipped", entry)
            continue
        shapes.append(Shape(names[annotation["category_id"]], form, entry))
    return shapes


def _read_form(segmentation: Any, size: Size) -> Form | None:
    """Return polygons, or a mask of run lengths. None if there is no polygon of three points. ValueError otherwise."""
    if isinstance(segmentation, list):
        flat = isinstance(segmentation[0], int | float)  # one polygon that is not in a list of its own
        parts = [read_points(part) for part in ([segmentation] if flat else segmentation)]
        parts = [part for part in parts if len(part) > 2]
        return Polygon(parts) if parts else None
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("its segmentation is neither a list of polygons nor a mask with counts")
    counts, stated = segmentation["counts"], segmentation.get("size")
    if stated is not None and stated != list(size):
        raise ValueError(f"its mask is of the size {stated}, its image of {list(size)} (height, width)")
    if isinstance(counts, str):
        return Bitmap(decode_coco_text(counts, size))
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        return Bitmap(decode_coco_counts(counts, size))
    raise ValueError("its counts are neither a string nor a list of whole numbers")


COCO = AnnotationFormat(
    "coco",
    "a JSON file with `images`, `annotations` and `categories`, or a folder that has some",
    recognises,
    read,
)

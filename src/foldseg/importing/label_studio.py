"""Label Studio's JSON: brush strokes, polygons, boxes and ellipses; coordinates are in percent of width and height.

If several people annotated an image, one annotation is taken: the one that is marked as ground truth, otherwise the
one that was changed last. Cancelled annotations and predictions of models are not used. The zip of PNGs that Label
Studio exports is not read, since its names do not tell the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from foldseg.errors import FoldsegError, short_name
from foldseg.files import read_json
from foldseg.importing.annotations import (
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    SourceClass,
)
from foldseg.importing.find_images import ImageFinder, parse_name
from foldseg.importing.label_studio_rle import decode_brush
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Bitmap, Form, Polygon, Shape, Size, make_ellipse, read_points, turn_points
from foldseg.importing.sniff import holds_keys, json_files

_LABEL_KEYS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "labels")
_SIGNS = (
    ("annotations", "result"),
    ("completions", "result"),
    ("original_width", "brushlabels"),
    ("original_width", "polygonlabels"),
)
"""Keys of which one pair is in every file of this format."""
_SKIPPED = ("keypointlabels", "choices", "textarea", "rating", "vectorlabels", "number", "relation")


def recognises(path: Path) -> bool:
    """Return whether a JSON file, or one in a folder, is a list of tasks."""
    return bool(_find_files(path))


def _find_files(path: Path) -> list[Path]:
    files = list(json_files(path)) if path.is_dir() else [path] if path.suffix.lower() == ".json" else []
    return [file for file in files if any(holds_keys(file, *keys, start="[{") for keys in _SIGNS) and _is_ours(file)]


def _is_ours(path: Path) -> bool:
    """Return whether a file is no COCO: that also has annotations."""
    return not holds_keys(path, "images", "categories") and not holds_keys(path, "shapes", "imagePath")


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read all tasks of a source."""
    root = source if source.is_dir() else source.parent
    finder = ImageFinder([settings.images] if settings.images else [root])
    names, images = dict[str, None](), []
    for path in _find_files(source):
        content = read_json(path)
        for index, task in enumerate(content if isinstance(content, list) else [content]):
            entry = f"{path}: task {task.get('id', index) if isinstance(task, dict) else index}"
            image, results = _read_task(task, entry, finder, remarks)
            images.append(image)
            names.update(dict.fromkeys(result.label for result in results))
    return Annotations([SourceClass(name) for name in sorted(names)], images, unused_files=finder.unused())


@dataclass(frozen=True)
class _Result:
    """One region: its class, its values and the size of the image."""

    label: str
    value: dict[str, Any]
    size: Size
    entry: str


def _read_task(
    task: Any, entry: str, finder: ImageFinder, remarks: Remarks
) -> tuple[AnnotatedImage, Sequence[_Result]]:
    if not isinstance(task, dict):
        raise FoldsegError(f"{entry}: is no mapping")
    name = _image_name(task, entry)
    path = parse_name(name)
    results = _choose_results(task, entry, remarks)
    regions = None if results is None else _read_results(results, entry, remarks)
    size = regions[0].size if regions else None
    if results is None:
        remarks.add("tasks are not annotated and have no mask (split: unlabelled)", entry)
    elif not regions:
        remarks.add("images have no annotation; all of each is background", entry)
    reader = None if regions is None else partial(_read_shapes, regions)
    image = AnnotatedImage(path.name, f"{entry} ({short_name(path.name)})", finder.find(name), size=size)
    if reader is not None:
        image = AnnotatedImage(image.name, image.entry, image.file, size=size, read_shapes=reader)
    return image, regions or []


def _image_name(task: dict[str, Any], entry: str) -> str:
    """Return the task's image: the value of `data.image`, or the first text there that looks like a picture's name."""
    data = task.get("data", task)
    values = [data.get("image"), *data.values()] if isinstance(data, dict) else []
    texts = [value for value in values if isinstance(value, str)]
    pictures = [text for text in texts if parse_name(text).suffix] or texts
    if not pictures:
        raise FoldsegError(f"{entry}: names no image in `data`")
    return pictures[0]


def _choose_results(task: dict[str, Any], entry: str, remarks: Remarks) -> list[Any] | None:
    """Return the regions of the annotation that is taken. None if nobody has annotated the image."""
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:  # the short form: lists of regions beside the image
        lists = [value for value in task.values() if isinstance(value, list) and _is_region_list(value)]
        return [region for regions in lists for region in regions] if lists else None
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise FoldsegError(f"{entry}: annotations should be a list of mappings")
    valid = [item for item in annotations if not item.get("was_cancelled") and not item.get("skipped")]
    if not valid:
        return None
    if len(valid) > 1:
        remarks.add("images have several annotations; the ground truth, or the latest, is taken", entry)
    best = max(valid, key=lambda item: (bool(item.get("ground_truth")), str(item.get("updated_at", ""))))
    result = best.get("result")
    if not isinstance(result, list):
        raise FoldsegError(f"{entry}: its annotation {best.get('id')} has no list `result`")
    return result


def _is_region_list(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) and "original_width" in value for value in values)


def _read_results(results: Sequence[Any], entry: str, remarks: Remarks) -> list[_Result]:
    """Return the regions that have a class, in their order. Regions and their labels may be separate, with one id."""
    records = [record for record in results if isinstance(record, dict)]
    stated = [record.get("value", record) for record in records]
    values: list[dict[str, Any]] = [value if isinstance(value, dict) else {} for value in stated]
    label_of_id = {
        record.get("id"): value["labels"]
        for record, value in zip(records, values, strict=True)
        if isinstance(value.get("labels"), list) and record.get("id") is not None
    }
    regions, seen = [], set[Any]()
    for index, (record, value) in enumerate(zip(records, values, strict=True)):
        place = f"{entry}: result {record.get('id', index)}"
        if record.get("type", "") in _SKIPPED or not _has_area(value):
            if record.get("type") not in (None, "labels"):
                remarks.add(f"results of the type {record.get('type')} have no area and are skipped", place)
            continue
        labels = next((value[key] for key in _LABEL_KEYS if value.get(key)), None) or label_of_id.get(record.get("id"))
        if not labels:
            remarks.add("regions without a label are skipped", place)
            continue
        if record.get("id") is not None and record.get("id") in seen:
            continue  # the same region again, as one of its labels' records
        seen.add(record.get("id"))
        if not isinstance(labels, list):
            raise FoldsegError(f"{place}: its labels should be a list")
        if len(labels) > 1:
            remarks.add("regions have several labels; the first is taken", f"{place} ({', '.join(map(str, labels))})")
        if record.get("image_rotation"):
            raise FoldsegError(f"{place}: was drawn on an image turned by {record['image_rotation']} degrees, which is "
                               "not read; turn the image itself and annotate it again")  # fmt: skip
        try:
            size = int(record["original_height"]), int(record["original_width"])
        except (KeyError, TypeError, ValueError):
            raise FoldsegError(f"{place}: has no original_width and original_height") from None
        regions.append(_Result(str(labels[0]).strip(), value, size, place))
    return regions


def _has_area(value: Any) -> bool:
    keys = value.keys() if isinstance(value, dict) else ()
    return "rle" in keys or "points" in keys or ({"x", "y"} <= set(keys) and bool({"width", "radiusX"} & set(keys)))


def _read_shapes(regions: Sequence[_Result]) -> list[Shape]:
    shapes = []
    for region in regions:
        try:
            shapes.append(Shape(region.label, _read_form(region.value, region.size), region.entry))
        except (TypeError, ValueError, KeyError) as error:
            what = f"has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise FoldsegError(f"{region.entry} ({short_name(region.label)!r}): {what}") from None
    return shapes


def _read_form(value: dict[str, Any], size: Size) -> Form:
    """Return the form of a region. Percent become pixels."""
    if "rle" in value:
        return Bitmap(decode_brush(value["rle"], size))
    scale = np.array([size[1], size[0]]) / 100
    if "points" in value:
        return Polygon([read_points(value["points"]) * scale])
    angle = float(value.get("rotation", 0))
    corner = read_points([[value["x"], value["y"]]])[0] * scale
    if "radiusX" in value:
        radii = read_points([[value["radiusX"], value["radiusY"]]])[0] * scale
        return make_ellipse(corner.tolist(), radii.tolist(), angle)
    across, down = read_points([[value["width"], value["height"]]])[0] * scale
    corners = corner + np.array([[0, 0], [across, 0], [across, down], [0, down]])
    return Polygon([turn_points(corners, corner, angle)])  # Label Studio turns boxes around their first corner


LABEL_STUDIO = AnnotationFormat(
    "label_studio",
    "a JSON file with a list of tasks and their `annotations`, or a folder with one",
    recognises,
    read,
)

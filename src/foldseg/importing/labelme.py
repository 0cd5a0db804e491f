"""labelme: a JSON file for each image, with polygons, boxes, circles, lines, points and small masks.

Shapes are painted in their order. The class `__ignore__` is void, `_background_` is background. If `labels.txt` lies
beside the files, it gives the order of the classes. Lines are 10 pixels wide and points have a radius of 5, as labelme
draws them.
"""

import base64
import binascii
import math
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from foldseg.data.listing import PICTURES
from foldseg.errors import FoldsegError, short_name
from foldseg.files import read_json
from foldseg.importing.annotations import (
    BACKGROUND_NAMES,
    TRAIN,
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    SourceClass,
    normalise_split,
)
from foldseg.importing.find_images import ImageFinder, parse_name
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Bitmap, Form, Line, Points, Polygon, Shape, box_polygon, make_ellipse, read_points
from foldseg.importing.sniff import folders_below, holds_keys, json_files
from foldseg.inputs import read_text

_LINE_WIDTH, _POINT_RADIUS = 10, 5
_DEPTH = 3
_LABELS = "labels.txt"
_POINTS_NEEDED = {"rectangle": 2, "circle": 2, "line": 2, "mask": 2, "oriented_rectangle": 4, "point": 1}


def recognises(path: Path) -> bool:
    """Return whether a JSON file, or one of the first in a folder, has the keys of labelme."""
    if not path.is_dir():
        return path.suffix.lower() == ".json" and _is_labelme(path)
    return any(_is_labelme(file) for folder in folders_below(path, _DEPTH) for file in json_files(folder))


def _is_labelme(path: Path) -> bool:
    return holds_keys(path, "shapes", "imagePath")


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read all labelme files of a folder, at any depth to three."""
    root = source if source.is_dir() else source.parent
    if source.is_dir():
        candidates = [file for folder in folders_below(source, _DEPTH) for file in json_files(folder, None)]
        files = [file for file in candidates if _is_labelme(file)]
        for file in sorted(set(candidates) - set(files)):
            remarks.add("JSON files are no annotations of labelme and are left out", str(file))
    else:
        files = [source]
    finder = ImageFinder([settings.images] if settings.images else [root])
    names, images = dict[str, None](), []
    for file in files:
        image, labels = _read_file(file, root, finder, remarks)
        names.update(dict.fromkeys(labels))
        images.append(image)
    unused = finder.unused() if source.is_dir() else []
    for file in unused:
        remarks.add("images have no annotation file and no mask (split: unlabelled)", str(file))
    _warn_of_similar_names(list(names), remarks)
    return Annotations([SourceClass(name) for name in _order(list(names), root, remarks)], images, unused_files=unused)


def _order(names: list[str], root: Path, remarks: Remarks) -> list[str]:
    """Return class names in the order of labels.txt, if there is one, otherwise of the alphabet."""
    path = root / _LABELS
    listed = [line.strip() for line in read_text(path).splitlines() if line.strip()] if path.is_file() else []
    unlisted = sorted(name for name in names if name not in listed)
    for name in unlisted if listed else ():
        remarks.add(f"classes are not in {_LABELS}", repr(name))
    return [*listed, *unlisted]


def _warn_of_similar_names(names: list[str], remarks: Remarks) -> None:
    first_of = dict[str, str]()
    for name in names:
        other = first_of.setdefault(name.casefold(), name)
        if other != name:
            remarks.add("classes differ from another one by capital letters alone", f"{other!r} and {name!r}")


def _read_file(path: Path, root: Path, finder: ImageFinder, remarks: Remarks) -> tuple[AnnotatedImage, list[str]]:
    """Return the image of an annotation file, and the names of its classes."""
    content = _parse(path)
    labels = [_label_of(path, index, shape) for index, shape in enumerate(content["shapes"])]
    image_path = content.get("imagePath") or ""
    name = parse_name(image_path).name
    file = _find_image(path, image_path, finder)
    has_content = file is None and isinstance(content.get("imageData"), str)
    if has_content:
        remarks.add("images are taken out of imageData, since their files are not there", f"{path} ({name})")
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    relative = path.relative_to(root).with_name(file.name if file else name or f"{path.stem}.png")
    split = normalise_split(relative.parts[0]) if len(relative.parts) > 1 else TRAIN
    image = AnnotatedImage(
        relative.as_posix(),
        str(path),
        file,
        split if split in ("train", "val", "test") else TRAIN,
        size,
        partial(_read_shapes, path, remarks),
        read_content=partial(_decode_image, path) if has_content else None,
    )
    return image, labels


def _parse(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise FoldsegError(f"{path}: has no list of shapes, as labelme's files have")
    return content


def _label_of(path: Path, index: int, shape: Any) -> str:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
        raise FoldsegError(f"{path}: shapes[{index}] has no label")
    return shape["label"].strip()


def _find_image(path: Path, image_path: str, finder: ImageFinder) -> Path | None:
    """Return the image beside the annotation file, or elsewhere in the source."""
    name = parse_name(image_path)
    candidates = [path.parent / name] if name.name and not name.is_absolute() else []
    candidates += [path.parent / name.name] if name.name else []
    candidates += [path.with_suffix(suffix) for suffix in PICTURES]
    for file in candidates:
        if file.is_file():
            finder.used.add(file)
            return file
    return finder.find(image_path) if name.name else None


def _decode_image(path: Path) -> bytes:
    try:
        return base64.b64decode(_parse(path)["imageData"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise FoldsegError(f"{path}: imageData is no base64 ({error})") from None


def _read_shapes(path: Path, remarks: Remarks) -> list[Shape]:
    shapes = []
    for index, record in enumerate(_parse(path)["shapes"]):
        entry, label = f"{path}: shapes[{index}]", _label_of(path, index, record)
        kind = record.get("shape_type") or "polygon"
        try:
            points = read_points(record.get("points"))
            form = _read_form(kind, points, record.get("mask"))
        except ValueError as error:
            raise FoldsegError(f"{entry} ({kind} of {short_name(label)!r}): {error}") from None
        if form is None:
            remarks.add(f"shapes of the type {kind} with {len(points)} point(s) are skipped", entry)
        else:
            shapes.append(Shape(_class_of(label), form, entry))
    return shapes


def _class_of(label: str) -> str:
    return "background" if label in BACKGROUND_NAMES else label


def _read_form(kind: str, points: Points, mask: Any) -> Form | None:
    """Return the form of a shape, or None if it has too few points, or no pixels can be made of it."""
    if len(points) < _POINTS_NEEDED.get(kind, 3 if kind == "polygon" else 1):
        return None
    if kind in ("polygon", "oriented_rectangle"):
        return Polygon([points])
    if kind == "rectangle":
        (left, top), (right, bottom) = points[:2].tolist()
        return box_polygon(left, top, right, bottom)
    if kind == "circle":
        radius = math.dist(points[0], points[1])
        return make_ellipse(points[0].tolist(), (radius, radius))
    if kind in ("line", "linestrip"):
        return Line(points, _LINE_WIDTH)
    if kind == "point":
        return make_ellipse(points[0].tolist(), (_POINT_RADIUS, _POINT_RADIUS))
    if kind == "mask":
        return _read_mask(points, mask)
    if kind == "points":  # prompts of labelme's assistant
        return None
    raise ValueError("is of a type that is not known")


def _read_mask(points: Points, mask: Any) -> Bitmap:
    """Decode a mask that is cropped to its two corners."""
    try:
        content = base64.b64decode(mask, validate=True)
    except (TypeError, ValueError):
        raise ValueError("its mask is no base64") from None
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if picture is None:
        raise ValueError("its mask is no picture")
    left, top = np.rint(points.min(0)).astype(int).tolist()
    return Bitmap(picture > 0, left, top)


LABELME = AnnotationFormat(
    "labelme",
    "JSON files with `shapes` and `imagePath`, one for each image",
    recognises,
    read,
)

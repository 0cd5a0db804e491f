"""Supervisely: `meta.json`, and for each data set a folder with `img/` and `ann/<image name>.json`.

Shapes are bitmaps, polygons with holes, boxes and lines, painted in their order.
"""

import base64
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from foldseg.config.class_files import read_class_file
from foldseg.errors import FoldsegError, short_name
from foldseg.files import read_json
from foldseg.importing.annotations import (
    TRAIN,
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    SourceClass,
    normalise_split,
)
from foldseg.importing.find_images import ImageFinder
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Bitmap, Form, Line, Polygon, Shape, box_polygon, read_points
from foldseg.importing.sniff import folders_below, holds_keys, json_files

_META, _ANNOTATIONS, _IMAGES = "meta.json", "ann", "img"
_DEPTH = 4


def recognises(path: Path) -> bool:
    """Return whether a folder has Supervisely's meta.json, and a folder `ann`."""
    root = _find_root(path)
    return root is not None and bool(_datasets(root))


def _find_root(path: Path) -> Path | None:
    folders = folders_below(path, 1) if path.is_dir() else ()
    return next((folder for folder in folders if holds_keys(folder / _META, "classes")), None)


def _datasets(root: Path) -> list[Path]:
    return [folder for folder in folders_below(root, _DEPTH) if (folder / _ANNOTATIONS).is_dir()]


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read all data sets of a project. One that is called train, val or test is that split."""
    root = _find_root(source)
    if root is None:
        raise FoldsegError(f"{source}: has no {_META}")
    classes = [SourceClass.of(entry) for entry in read_class_file(root / _META)]
    names = {item.name for item in classes}
    images, unused = [], list[Path]()
    for dataset in _datasets(root):
        folder = settings.images or dataset / _IMAGES
        finder = ImageFinder([folder if folder.is_dir() else dataset])
        relative = dataset.relative_to(root)
        split = normalise_split(relative.name)
        for path in json_files(dataset / _ANNOTATIONS, None):
            image = path.name.removesuffix(".json")
            content = _parse(path, names)
            if not content["objects"]:
                remarks.add("images have no annotation; all of each is background", str(path))
            images.append(
                AnnotatedImage(
                    (relative / image).as_posix(),
                    str(path),
                    finder.find(image) or _find_by_stem(finder, image),
                    split if split in ("train", "val", "test") else TRAIN,
                    (content["size"]["height"], content["size"]["width"]),
                    partial(_read_shapes, path, names, remarks),
                )
            )
        unused += finder.unused()
    return Annotations(classes, images, unused_files=[] if settings.images else unused)


def _find_by_stem(finder: ImageFinder, name: str) -> Path | None:
    """Return the image of an annotation file of older projects, whose name has no suffix of the image."""
    return None if Path(name).suffix else next((f for s in (".jpg", ".png") if (f := finder.find(name + s))), None)


def _parse(path: Path, names: set[str]) -> dict[str, Any]:
    content = read_json(path)
    size = content.get("size") if isinstance(content, dict) else None
    if not isinstance(size, dict) or not all(isinstance(size.get(key), int) for key in ("height", "width")):
        raise FoldsegError(f"{path}: has no size with height and width")
    if not isinstance(content.get("objects"), list):
        raise FoldsegError(f"{path}: has no list of objects")
    for index, record in enumerate(content["objects"]):
        title = record.get("classTitle") if isinstance(record, dict) else None
        if title not in names:
            raise FoldsegError(
                f"{path}: objects[{index}]: its class {short_name(str(title))!r} is not in {_META}, which has "
                f"{', '.join(sorted(names))}"
            )
    return content


def _read_shapes(path: Path, names: set[str], remarks: Remarks) -> list[Shape]:
    shapes = []
    for index, record in enumerate(_parse(path, names)["objects"]):
        entry, kind = f"{path}: objects[{index}]", str(record.get("geometryType"))
        try:
            form = _read_form(kind, record)
        except (KeyError, TypeError) as error:
            raise FoldsegError(f"{entry} ({kind}): is not as Supervisely writes it ({error!r})") from None
        except ValueError as error:
            raise FoldsegError(f"{entry} ({kind}): {error}") from None
        if form is None:
            remarks.add(f"objects of the type {kind} have no area and are skipped", entry)
        else:
            shapes.append(Shape(record["classTitle"], form, entry))
    return shapes


def _read_form(kind: str, record: dict[str, Any]) -> Form | None:
    if kind == "bitmap":
        left, top = (int(value) for value in record["bitmap"]["origin"])
        return Bitmap(_decode_bitmap(record["bitmap"]["data"]), left, top)
    if kind not in ("polygon", "rectangle", "line", "polyline"):
        return None
    points = read_points(record["points"]["exterior"])
    holes = [read_points(hole) for hole in record["points"].get("interior", [])]
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points.tolist()
        return box_polygon(left, top, right, bottom)
    if kind == "polygon" and len(points) > 2:
        return Polygon([points], holes)
    return Line(points, None) if "line" in kind and len(points) > 1 else None


def _decode_bitmap(text: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Decode a PNG, mostly compressed by zlib: the mask is its alpha channel, or else what is not 0."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise ValueError("its data is no base64") from None
    with suppress(zlib.error):  # some programs write the PNG as it is
        content = zlib.decompress(content)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if picture is None:
        raise ValueError("its data is no picture")
    if picture.ndim == 3 and picture.shape[2] == 4:
        return np.asarray(picture[..., 3] > 0)
    return np.asarray(picture > 0 if picture.ndim == 2 else picture.any(2))


SUPERVISELY = AnnotationFormat(
    "supervisely",
    "a folder with `meta.json` and folders that hold `ann/` and `img/`",
    recognises,
    read,
)

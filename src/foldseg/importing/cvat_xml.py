"""CVAT's XML "for images 1.1": polygons, boxes, masks and ellipses, with their order from bottom to top.

A source is a file `annotations.xml`, or a folder with one and, if they were exported, the images. A shape with a higher
`z_order` is painted later; otherwise the order of the file holds. Reading XML needs the package defusedxml.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foldseg.config.class_files import parse_hex_colour
from foldseg.data.rle_text import decode_coco_counts
from foldseg.errors import FoldsegError, short_name
from foldseg.importing.annotations import (
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    Colour,
    ImportSettings,
    SourceClass,
    normalise_split,
)
from foldseg.importing.find_images import ImageFinder
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import Bitmap, Form, Line, Polygon, Shape, Size, box_polygon, make_ellipse, read_points
from foldseg.importing.sniff import folders_below

_NAME = "annotations.xml"
_HEAD = 4096
_NO_AREA = ("points", "cuboid", "skeleton")


def recognises(path: Path) -> bool:
    """Return whether a file is XML of CVAT, or a folder has such a file."""
    return bool(_find_files(path))


def _find_files(path: Path) -> list[Path]:
    files = [path] if path.suffix.lower() == ".xml" else []
    if path.is_dir():
        files = [file for folder in folders_below(path, 1) for file in sorted(folder.glob("*.xml"))]
    return [file for file in files if _is_cvat(file)]


def _is_cvat(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return b"<annotations" in stream.read(_HEAD)
    except OSError:
        return False


@dataclass(frozen=True)
class _Record:
    """An image of the file: its attributes, and the tag and attributes of each shape."""

    attributes: dict[str, str]
    shapes: list[tuple[str, dict[str, str]]]


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read all XML files of a source."""
    root = source if source.is_dir() else source.parent
    finder = ImageFinder([settings.images] if settings.images else [root])
    colours, images = dict[str, Colour | None](), []
    for path in _find_files(source):
        for item in _parse(path):
            if isinstance(item, SourceClass):
                colours.setdefault(item.name, item.colour)
            else:
                colours.update({attributes["label"]: colours.get(attributes["label"]) for _, attributes in item.shapes})
                images.append(_read_image(path, item, finder, remarks))
    classes = [SourceClass(name, colour) for name, colour in colours.items()]
    return Annotations(classes, images, unused_files=finder.unused() if settings.images or source.is_dir() else [])


def _parse(path: Path) -> Iterator[SourceClass | _Record]:
    """Yield the labels and images of a file. Each image's part of the tree is dropped when it has been read."""
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, iterparse
    except ImportError:
        raise FoldsegError(f"{path}: reading XML needs the package defusedxml: pip install 'foldseg[cvat]'") from None
    try:
        for _, element in iterparse(str(path), events=("end",)):
            if element.tag == "label" and element.findtext("name"):
                yield _read_label(element)
            elif element.tag == "track":
                raise FoldsegError(
                    f"{path}: holds tracks of a video; export the task again as `CVAT for images 1.1`, or as "
                    "`Segmentation mask 1.1`"
                )
            elif element.tag == "image":
                yield _read_record(path, element)
                element.clear()
    except ParseError as error:
        raise FoldsegError(f"{path}: is no valid XML ({error})") from None
    except DefusedXmlException as error:
        raise FoldsegError(f"{path}: holds XML that is not safe to read ({error})") from None


def _read_label(element: Any) -> SourceClass:
    text = element.findtext("color") or ""
    try:
        red, green, blue = parse_hex_colour(text)
    except ValueError:
        return SourceClass(element.findtext("name").strip())
    return SourceClass(element.findtext("name").strip(), (red, green, blue))


def _read_record(path: Path, element: Any) -> _Record:
    entry = f"{path}: image {element.get('id')}"
    for key in ("name", "width", "height"):
        if not element.get(key):
            raise FoldsegError(f"{entry}: has no {key}")
    shapes = []
    for place, shape in enumerate(element):
        if shape.tag == "tag":  # it says something of the whole image
            continue
        if not shape.get("label"):
            raise FoldsegError(f"{entry}: its {shape.tag} number {place + 1} has no label")
        shapes.append((shape.tag, {**shape.attrib, "label": shape.get("label").strip()}))
    return _Record(dict(element.attrib), shapes)


def _read_image(path: Path, record: _Record, finder: ImageFinder, remarks: Remarks) -> AnnotatedImage:
    name = record.attributes["name"]
    entry = f"{path}: image {record.attributes.get('id')} ({short_name(name)})"
    try:
        size = int(record.attributes["height"]), int(record.attributes["width"])
    except ValueError:
        raise FoldsegError(f"{entry}: its width and height are no whole numbers") from None
    if not record.shapes:
        remarks.add("images have no annotation; all of each is background", entry)
    subset = record.attributes.get("subset", "")
    file = finder.find(name, {subset.lower()} if subset else ())
    return AnnotatedImage(
        f"{subset}/{name}" if subset else name,
        entry,
        file,
        normalise_split(subset),
        size,
        partial(_read_shapes, entry, record.shapes, remarks),
    )


def _read_shapes(entry: str, records: Sequence[tuple[str, dict[str, str]]], remarks: Remarks) -> list[Shape]:
    """Return the shapes of an image, the lowest first."""
    shapes = []
    for place, (tag, attributes) in enumerate(records):
        name = f"{entry}: {tag} number {place + 1} ({short_name(attributes['label'])!r})"
        try:
            order = int(attributes.get("z_order", 0))
            form = _read_form(tag, attributes)
        except KeyError as error:
            raise FoldsegError(f"{name}: has no {error.args[0]}") from None
        except ValueError as error:
            raise FoldsegError(f"{name}: {error}") from None
        if form is None:
            remarks.add(f"shapes of the type {tag} have no area and are skipped", name)
        else:
            shapes.append((order, Shape(attributes["label"], form, name)))
    return [shape for _, shape in sorted(shapes, key=lambda item: item[0])]


def _read_form(tag: str, attributes: dict[str, str]) -> Form | None:
    """Return the form of a shape, or None if it has no area. KeyError for a missing attribute, ValueError otherwise."""
    if tag in _NO_AREA:
        return None
    angle = float(attributes.get("rotation", 0))
    if tag in ("polygon", "polyline"):
        pairs = [pair.split(",") for pair in attributes["points"].split(";") if pair.strip()]
        points = read_points(pairs)
        if len(points) < (3 if tag == "polygon" else 2):
            return None
        return Polygon([points]) if tag == "polygon" else Line(points, None)
    if tag == "box":
        left, top, right, bottom = (float(attributes[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return box_polygon(left, top, right, bottom, angle)
    if tag == "ellipse":
        x, y, across, down = (float(attributes[key]) for key in ("cx", "cy", "rx", "ry"))
        return make_ellipse((x, y), (across, down), angle)
    if tag == "mask":
        size: Size = int(attributes["height"]), int(attributes["width"])
        counts = [int(count) for count in attributes["rle"].split(",")]
        left, top = read_points([float(attributes["left"]), float(attributes["top"])])[0].astype(int).tolist()
        return Bitmap(decode_coco_counts(counts, size, rows_first=True), left, top)
    raise ValueError("is of a type that is not known")


CVAT_XML = AnnotationFormat(
    "cvat_xml",
    "an XML file of CVAT (`CVAT for images 1.1`), or a folder with one",
    recognises,
    read,
)

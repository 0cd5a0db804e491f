"""The formats that can be imported, and which of them a source is."""

from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.importing.ade20k import ADE20K
from foldseg.importing.annotations import AnnotationFormat
from foldseg.importing.bdd100k import BDD100K, BDD100K_DRIVABLE
from foldseg.importing.coco import COCO
from foldseg.importing.cvat_masks import CVAT_MASKS
from foldseg.importing.cvat_xml import CVAT_XML
from foldseg.importing.label_studio import LABEL_STUDIO
from foldseg.importing.labelme import LABELME
from foldseg.importing.mapillary import MAPILLARY
from foldseg.importing.mmsegmentation import MMSEGMENTATION
from foldseg.importing.nnunet import NNUNET
from foldseg.importing.roboflow import ROBOFLOW
from foldseg.importing.supervisely import SUPERVISELY
from foldseg.inputs import is_absent

FORMATS = {
    entry.name: entry
    for entry in (
        COCO, LABELME, CVAT_XML, CVAT_MASKS, LABEL_STUDIO, SUPERVISELY, ROBOFLOW, NNUNET, MMSEGMENTATION, ADE20K,
        BDD100K, BDD100K_DRIVABLE, MAPILLARY,
    )
}  # fmt: skip
"""Name -> format. To add one: a module with an `AnnotationFormat`, and its place here."""


def find_formats(source: Path) -> list[AnnotationFormat]:
    """Return the formats that recognise a file or folder. There may be several, or none."""
    return [entry for entry in FORMATS.values() if entry.recognises(source)]


def choose_format(source: Path, name: str | None = None) -> AnnotationFormat:
    """Return the format of a source: the one called `name`, or the only one that recognises it.

    FoldsegError if there is none, or if there are several.
    """
    if is_absent(source):
        raise FoldsegError(f"{source}: no such file or folder")
    if name is not None:
        if name not in FORMATS:
            raise FoldsegError(f"{name!r} is no format; formats are {', '.join(FORMATS)}")
        if not FORMATS[name].recognises(source):
            raise FoldsegError(f"{source}: is no source of the format {name}: {FORMATS[name].sign}")
        return FORMATS[name]
    matches = find_formats(source)
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = " and ".join(entry.name for entry in matches)
        raise FoldsegError(f"{source}: is a source of several formats, {names}; choose one with --format")
    signs = "\n".join(f"  {entry.name}: {entry.sign}" for entry in FORMATS.values())
    raise FoldsegError(f"{source}: is of no format that is known here; expected one of\n{signs}")

"""Roboflow's "semantic segmentation masks": `train/x.jpg` and `train/x_mask.png` side by side, and `_classes.csv`.

Augmented copies of one picture share the part of their name before `.rf.`; they are one group.
"""

from pathlib import Path

from foldseg.config.class_files import read_class_file
from foldseg.data.listing import PICTURES, list_files
from foldseg.errors import FoldsegError
from foldseg.importing.annotations import (
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    normalise_split,
)
from foldseg.importing.mask_folders import NO_IMAGE, NO_MASK, read_classes_of_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.sniff import folders_below

_CLASSES, _MASK = "_classes.csv", "_mask"


def recognises(path: Path) -> bool:
    """Return whether a folder, or one in it, has `_classes.csv` and masks beside the images."""
    return bool(_find_folders(path))


def _find_folders(path: Path) -> list[Path]:
    folders = folders_below(path, 1) if path.is_dir() else ()
    return [
        folder for folder in folders
        if (folder / _CLASSES).is_file() and next(folder.glob(f"*{_MASK}.png"), None) is not None
    ]  # fmt: skip


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read the splits of a source. FoldsegError if their class files differ."""
    folders = _find_folders(source)
    entries = [read_class_file(folder / _CLASSES) for folder in folders]
    for folder, other in zip(folders, entries, strict=True):
        if other != entries[0]:
            raise FoldsegError(f"{folder / _CLASSES}: has other classes than {folders[0] / _CLASSES}")
    classes, void = read_classes_of_ids(folders[0] / _CLASSES, entries[0])
    images = [image for folder in folders for image in _pair(folder, source, remarks)]
    return Annotations(classes, images, kind="ids", void_ids=void)


def _pair(folder: Path, root: Path, remarks: Remarks) -> list[AnnotatedImage]:
    files = list_files(folder, (*PICTURES, ".csv")).only(PICTURES).files
    mask_of = {file.stem.removesuffix(_MASK): file for file in files if file.stem.endswith(_MASK)}
    images = [file for file in files if not file.stem.endswith(_MASK)]
    split = normalise_split(folder.name) if folder != root else "train"
    result = []
    for file in images:
        mask = mask_of.pop(file.stem, None)
        if mask is None and split != "test":
            remarks.add(NO_MASK, str(file))
        before, mark, _ = file.name.partition(".rf.")
        name = file.relative_to(root).as_posix()
        result.append(AnnotatedImage(name, str(file), file, split, mask=mask, group=before if mark else ""))
    for mask in mask_of.values():
        remarks.add(NO_IMAGE, str(mask))
    return result


ROBOFLOW = AnnotationFormat(
    "roboflow",
    "folders with `_classes.csv`, images and `<name>_mask.png` beside them",
    recognises,
    read,
)

"""CVAT's "Segmentation mask 1.1": masks of colours in `SegmentationClass`, and their meaning in `labelmap.txt`.

Pascal VOC has the same layout without `labelmap.txt`, and images in `JPEGImages`. CVAT exports images only if asked to.
Colours of `SegmentationObject` mean nothing.
"""

from pathlib import Path

from foldseg.config.class_files import read_class_file
from foldseg.data.listing import MASKS, PICTURES, list_files
from foldseg.data.own_classes import colour_of_voc
from foldseg.errors import FoldsegError
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
from foldseg.importing.sniff import folders_below
from foldseg.inputs import read_text

_MASKS, _OBJECTS, _LABELS = "SegmentationClass", "SegmentationObject", "labelmap.txt"
_LISTS = Path("ImageSets/Segmentation")
_VOC_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)


def recognises(path: Path) -> bool:
    """Return whether a folder, or one in it, has `SegmentationClass`."""
    return path.is_dir() and (path.name == _OBJECTS or _find_root(path) is not None)


def _find_root(path: Path) -> Path | None:
    if path.name == _MASKS:
        return path.parent
    return next((folder for folder in folders_below(path, 2) if (folder / _MASKS).is_dir()), None)


def voc_colours(count: int = 21) -> list[Colour]:
    """Return the first colours of Pascal VOC: the bits of a class's number, spread over red, green and blue."""
    return [colour_of_voc(number) for number in range(count)]


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Read masks, their colours and lists of splits."""
    if source.name == _OBJECTS:
        raise FoldsegError(f"{source}: its colours tell objects apart, not classes; name the folder above it")
    root = _find_root(source)
    if root is None:
        raise FoldsegError(f"{source}: has no folder {_MASKS}")
    classes = _read_classes(root, settings, remarks)
    masks = list_files(root / _MASKS, MASKS, deep=True).files
    finder = ImageFinder([settings.images] if settings.images else _image_folders(root))
    split_of = _read_splits(root, remarks)
    images = []
    for mask in masks:
        stem = mask.relative_to(root / _MASKS).with_suffix("").as_posix()
        found = (finder.find(f"{stem}{suffix}") for suffix in PICTURES)
        file = next((image for image in found if image is not None), None)
        split = split_of.get(stem, "train")
        images.append(AnnotatedImage(f"{split}/{stem}.png", str(mask), file, split, mask=mask))
        if split_of and stem not in split_of:
            remarks.add(f"masks are in no list of {_LISTS} and belong to train", str(mask))
    names = {image.mask.stem for image in images if image.mask}
    for stem in sorted(set(split_of) - {Path(name).name for name in names} - names):
        remarks.add(f"names in lists of {_LISTS} have no mask and are left out", stem)
    return Annotations(classes, images, kind="colours", unused_files=finder.unused())


def _read_classes(root: Path, settings: ImportSettings, remarks: Remarks) -> list[SourceClass]:
    path = settings.classes or root / _LABELS
    if not path.is_file():
        remarks.add(f"source has no {_LABELS}; classes and colours are those of Pascal VOC", str(root))
        pairs = zip(_VOC_NAMES.split(), voc_colours(), strict=True)
        return [SourceClass(name, colour) for name, colour in pairs]
    classes = [SourceClass.of(entry) for entry in read_class_file(path)]
    without = [item.name for item in classes if item.colour is None]
    if without:
        raise FoldsegError(f"{path}: the class {without[0]!r} has no colour, and the masks hold colours")
    return classes


def _image_folders(root: Path) -> list[Path]:
    """Return all folders beside those of masks, and else the folder itself, without masks."""
    return [
        folder for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name not in (_MASKS, _OBJECTS, "ImageSets", "Annotations")
    ]  # fmt: skip


def _read_splits(root: Path, remarks: Remarks) -> dict[str, str]:
    """Return the split of each stem: that of the list that names it. `trainval` is used for no other's names."""
    split_of = dict[str, str]()
    lists = sorted((root / _LISTS).glob("*.txt"), key=lambda path: (path.stem == "trainval", path.name))
    for path in lists:
        for line in read_text(path).splitlines():
            stem = line.strip()
            if not stem or stem.startswith("#"):
                continue
            if stem in split_of and split_of[stem] != normalise_split(path.stem) and path.stem != "trainval":
                raise FoldsegError(f"{path}: {stem} is in the list of {split_of[stem]}, too")
            split_of.setdefault(stem, "train" if path.stem == "trainval" else normalise_split(path.stem))
    return split_of


CVAT_MASKS = AnnotationFormat(
    "cvat_masks",
    "a folder with `SegmentationClass` (and `labelmap.txt`): `Segmentation mask 1.1` of CVAT, or Pascal VOC",
    recognises,
    read,
)

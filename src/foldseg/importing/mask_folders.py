"""Pairs of image and mask files in folders of a known layout."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from foldseg.config.class_files import ClassEntry, read_class_file
from foldseg.data.listing import MASKS, list_files
from foldseg.errors import FoldsegError
from foldseg.importing.annotations import AnnotatedImage, ImportSettings, SourceClass
from foldseg.importing.remarks import Remarks

NO_IMAGE = "masks have no image and are left out"
NO_MASK = "images have no mask (split: unlabelled)"


def pair_files(
    root: Path,
    images: Path,
    masks: Path,
    split: str,
    remarks: Remarks,
    key_of_image: Callable[[Path], str] = lambda path: path.stem,
    key_of_mask: Callable[[Path], str] = lambda path: path.stem,
    mask_suffixes: Sequence[str] = MASKS,
) -> list[AnnotatedImage]:
    """Return the images of a folder with the masks of another, sorted, at any depth.

    Files pair if they lie in the same place below their folders, and have the same key there. `root`: names of images
    are relative to it. A folder that does not exist has no files. FoldsegError if two images have the same key.
    """
    image_files = list_files(images, deep=True).files if images.is_dir() else []
    mask_files = list_files(masks, mask_suffixes, deep=True).files if masks.is_dir() else []
    mask_of = {_place(path, masks, key_of_mask): path for path in mask_files}
    paired, result = dict[str, Path](), []
    for file in image_files:
        place = _place(file, images, key_of_image)
        if place in paired:
            raise FoldsegError(f"{paired[place]} and {file} would have the same mask; remove or rename one of them")
        paired[place] = file
        mask = mask_of.get(place)
        if mask is None and split != "test":
            remarks.add(NO_MASK, str(file))
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        result.append(AnnotatedImage(name, str(mask or file), file, split, mask=mask))
    for place, mask in mask_of.items():
        if place not in paired:
            remarks.add(NO_IMAGE, str(mask))
    return result


def _place(path: Path, folder: Path, key: Callable[[Path], str]) -> str:
    return (path.relative_to(folder).parent / key(path)).as_posix()


def read_classes_of_ids(
    path: Path, entries: Sequence[ClassEntry] | None = None
) -> tuple[list[SourceClass], tuple[int, ...]]:
    """Return the classes of a class file, and its ids that are void. `entries`: what the file holds, if it was read.

    FoldsegError if a class has no id.
    """
    entries = read_class_file(path) if entries is None else entries
    classes = [SourceClass.of(entry) for entry in entries]
    without = [item.name for item in classes if not item.ids]
    if without:
        raise FoldsegError(f"{path}: the class {without[0]!r} has no id, and the masks hold ids")
    void = tuple(raw_id for item in classes if item.is_void for raw_id in item.ids)
    return [item for item in classes if not item.is_void], void


def classes_or_numbers(
    source: Path, settings: ImportSettings, remarks: Remarks
) -> tuple[list[SourceClass], tuple[int, ...]]:
    """Return the classes of the user's class file, by their position if it says no ids, and the ids that are void.

    Without a class file there are no classes: they are named by the ids that the masks hold.
    """
    if settings.classes is None:
        remarks.add("sources name no classes: they are called by their ids (name them: --classes FILE)", str(source))
        return [], ()
    classes = [SourceClass.of(entry) for entry in read_class_file(settings.classes)]
    first = int(settings.reduce_zero_label)
    numbered = [item if item.ids else replace(item, ids=(number + first,)) for number, item in enumerate(classes)]
    void = tuple(raw_id for item in numbered if item.is_void for raw_id in item.ids)
    return [item for item in numbered if not item.is_void], void

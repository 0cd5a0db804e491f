"""ADE20K (ADEChallengeData2016): `images/{training,validation}` and `annotations/{training,validation}`.

Masks hold the ids 1 to 150, and 0 for other things, which is void. Names of classes are in `objectInfo150.txt`.
"""

from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.importing.annotations import AnnotationFormat, Annotations, ImportSettings, normalise_split
from foldseg.importing.mask_folders import pair_files, read_classes_of_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.sniff import folders_below

_SPLITS = ("training", "validation", "testing")
_CLASS_FILES = ("objectInfo150.txt", "objectInfo150.csv")


def recognises(path: Path) -> bool:
    """Return whether a folder, or one in it, has ADE20K's folders."""
    return _find_root(path) is not None


def _find_root(path: Path) -> Path | None:
    folders = folders_below(path, 1) if path.is_dir() else ()
    return next((folder for folder in folders if (folder / "annotations/training").is_dir()), None)


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Pair images and masks of all splits, and read the names of classes."""
    root = _find_root(source)
    if root is None:
        raise FoldsegError(f"{source}: has no folder annotations/training")
    images = []
    for name in _SPLITS:
        split = normalise_split(name)
        images += pair_files(root, root / "images" / name, root / "annotations" / name, split, remarks)
    candidates = [settings.classes] if settings.classes else [root / name for name in _CLASS_FILES]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        raise FoldsegError(f"{candidates[0]}: no such file; it names the classes of ADE20K (or name one: --classes)")
    classes, void = read_classes_of_ids(path)
    return Annotations(classes, images, kind="ids", void_ids=(0, *void))


ADE20K = AnnotationFormat(
    "ade20k", "a folder with `images/training` and `annotations/training` (ADEChallengeData2016)", recognises, read
)

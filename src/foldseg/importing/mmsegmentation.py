"""MMSegmentation's layout: `img_dir/<split>/x.jpg` and `ann_dir/<split>/x.png`, with ids from 0 and 255 for void.

Classes are named in MMSegmentation's code, not in the data, so the user names a class file. With its setting
`reduce_zero_label`, the id 0 is void, too, and the first class has the id 1.
"""

from pathlib import Path

from foldseg.importing.annotations import AnnotationFormat, Annotations, ImportSettings, normalise_split
from foldseg.importing.mask_folders import classes_or_numbers, pair_files
from foldseg.importing.remarks import Remarks

_IMAGES, _MASKS = "img_dir", "ann_dir"
_SUFFIXES = ("_leftImg8bit", "_gtFine_labelTrainIds", "_labelTrainIds", "_labelIds")
"""What names of images and masks have besides their common part, in converted sets."""


def recognises(path: Path) -> bool:
    """Return whether a folder has `img_dir` and `ann_dir`."""
    return all((path / name).is_dir() for name in (_IMAGES, _MASKS))


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Pair images and masks of all splits."""
    names = {folder.name for top in (_IMAGES, _MASKS) for folder in (source / top).iterdir() if folder.is_dir()}
    images = []
    for name in sorted(names) or [""]:
        images += pair_files(
            source, source / _IMAGES / name, source / _MASKS / name, normalise_split(name), remarks, _key, _key
        )
    classes, named_void = classes_or_numbers(source, settings, remarks)
    void = (0, 255) if settings.reduce_zero_label else (255,)
    return Annotations(classes, images, kind="ids", void_ids=(*void, *named_void))


def _key(path: Path) -> str:
    for suffix in _SUFFIXES:
        if path.stem.endswith(suffix):
            return path.stem.removesuffix(suffix)
    return path.stem


MMSEGMENTATION = AnnotationFormat("mmsegmentation", "a folder with `img_dir` and `ann_dir`", recognises, read)

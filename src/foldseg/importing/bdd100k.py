"""BDD100K: semantic masks (19 classes of Cityscapes' train ids, 255 is void), and drivable areas (3 ids).

Layouts: `images/10k/<split>` with `labels/sem_seg/masks/<split>`; older: `images/<split>` with
`labels/<split>/*_train_id.png`; drivable: `images/100k/<split>` with `labels/drivable/masks/<split>`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.importing.annotations import (
    AnnotatedImage,
    AnnotationFormat,
    Annotations,
    ImportSettings,
    SourceClass,
    normalise_split,
)
from foldseg.importing.mask_folders import pair_files
from foldseg.importing.remarks import Remarks
from foldseg.importing.sniff import folders_below

_SPLITS = ("train", "val", "test")
_TRAIN_ID = "_train_id"
TRAIN_IDS = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180), "person": (220, 20, 60),
    "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70), "bus": (0, 60, 100), "train": (0, 80, 100),
    "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
}  # fmt: skip
"""Cityscapes' classes in the order of their train ids, with their colours."""
_SEMANTIC = [SourceClass(name, colour, (raw_id,)) for raw_id, (name, colour) in enumerate(TRAIN_IDS.items())]
_DRIVABLE = [
    SourceClass("direct", (219, 94, 86), (0,)),
    SourceClass("alternative", (86, 211, 219), (1,)),
    SourceClass("background", (0, 0, 0), (2,), scored=False),
]


def _folder_pairs(path: Path, drivable: bool) -> Iterator[tuple[Path, Path, str]]:
    """Yield the folders of images and masks of a source, for each split that has masks."""
    for root in folders_below(path, 1) if path.is_dir() else ():
        for split in _SPLITS:
            if drivable:
                yield root / "images/100k" / split, root / "labels/drivable/masks" / split, split
            else:
                yield root / "images/10k" / split, root / "labels/sem_seg/masks" / split, split
                yield root / "images" / split, root / "labels" / split, split


def _recognises(path: Path, drivable: bool) -> bool:
    return any(_is_pair(images, masks) for images, masks, _ in _folder_pairs(path, drivable))


def _is_pair(images: Path, masks: Path) -> bool:
    is_old = masks.parent.name == "labels"
    is_ours = next(masks.glob(f"*{_TRAIN_ID}.png"), None) is not None if is_old else masks.is_dir()
    return images.is_dir() and is_ours


def _read(source: Path, settings: ImportSettings, remarks: Remarks, *, drivable: bool) -> Annotations:
    """Pair images and masks of all splits. Images of a split without masks, such as test, have none."""
    images, taken = list[AnnotatedImage](), set[Path]()
    pairs = list(_folder_pairs(source, drivable))
    roots = {images_folder.parent for images_folder, masks, _ in pairs if _is_pair(images_folder, masks)}
    for images_folder, masks, split in pairs:
        if images_folder.parent in roots and images_folder.is_dir() and images_folder not in taken:
            taken.add(images_folder)
            images += pair_files(
                source, images_folder, masks, normalise_split(split), remarks, key_of_mask=_key_of_mask
            )
    if not images:
        raise FoldsegError(f"{source}: has no images of BDD100K")
    return Annotations(_DRIVABLE if drivable else _SEMANTIC, images, kind="ids", void_ids=(255,))


def _key_of_mask(path: Path) -> str:
    return path.stem.removesuffix(_TRAIN_ID)


BDD100K = AnnotationFormat(
    "bdd100k",
    "a folder with `images/10k` and `labels/sem_seg/masks`, or `images/train` and `labels/train/*_train_id.png`",
    partial(_recognises, drivable=False),
    partial(_read, drivable=False),
)
BDD100K_DRIVABLE = AnnotationFormat(
    "bdd100k_drivable",
    "a folder with `images/100k` and `labels/drivable/masks`",
    partial(_recognises, drivable=True),
    partial(_read, drivable=True),
)

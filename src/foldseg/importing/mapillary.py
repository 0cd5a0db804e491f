"""Mapillary Vistas: `{training,validation}/images`, `.../v1.2/labels` (or `v2.0`, or `labels`), `config_v1.2.json`.

A mask's value is the place of the class in the config's list. The last one, Unlabeled, is void.
"""

import re
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.importing.annotations import AnnotationFormat, Annotations, ImportSettings, normalise_split
from foldseg.importing.mask_folders import pair_files, read_classes_of_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.sniff import folders_below, holds_keys

_SPLITS = ("training", "validation", "testing")
_VERSION = re.compile(r"v\d+\.\d+")


def recognises(path: Path) -> bool:
    """Return whether a folder, or one in it, has a config of Mapillary and `training/images`."""
    return _find_root(path) is not None


def _find_root(path: Path) -> Path | None:
    folders = folders_below(path, 1) if path.is_dir() else ()
    return next((folder for folder in folders if (folder / "training/images").is_dir() and _configs(folder)), None)


def _configs(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("config*.json")) if holds_keys(path, "labels", "color")]


def read(source: Path, settings: ImportSettings, remarks: Remarks) -> Annotations:
    """Pair images and masks of all splits. If there are several versions of masks, the newest is taken."""
    root = _find_root(source)
    if root is None:
        raise FoldsegError(f"{source}: has no training/images and config.json of Mapillary Vistas")
    training = root / "training"
    versions = sorted(folder.name for folder in training.iterdir() if _VERSION.fullmatch(folder.name))
    version = versions[-1] if versions else ""
    if len(versions) > 1:
        remarks.add("source has several versions of masks; the newest is taken", f"{root}: {', '.join(versions)}")
    images = []
    for name in _SPLITS:
        masks = root / name / version / "labels"
        images += pair_files(root, root / name / "images", masks, normalise_split(name), remarks)
    classes, void = read_classes_of_ids(_config_of(root, version))
    return Annotations(classes, images, kind="ids", void_ids=void)


def _config_of(root: Path, version: str) -> Path:
    """Return the config of a version. FoldsegError if there are only those of other versions."""
    configs = _configs(root)
    named = [path for path in configs if version and path.stem.endswith(version)]
    plain = [path for path in configs if not _VERSION.search(path.stem)]
    if not (named or plain):
        names = ", ".join(path.name for path in configs)
        raise FoldsegError(f"{root}: has masks of {version or 'no version'} and no config of it, only {names}")
    return (named or plain)[0]


MAPILLARY = AnnotationFormat(
    "mapillary", "a folder with `training/images` and `config*.json` (Mapillary Vistas)", recognises, read
)

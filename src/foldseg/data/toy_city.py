"""The built-in city as a data set: built where it is missing, checked against its settings where it is not."""

import logging
import os
from pathlib import Path

from foldseg.config.schema import Data, ToyCity
from foldseg.data.listing import list_files
from foldseg.data.reading import image_size
from foldseg.errors import FoldsegError
from foldseg.files import locked, read_record
from toycity import generate_toy_city

logger = logging.getLogger(__name__)

_TOY_SETTINGS = "toy_city.json"  # written when the city is built
_MANY_PIXELS = 50_000_000  # below, starting the processes that build the toy city takes longer than building it


def prepare_toy_city(settings: Data) -> None:
    """Build the toy city if its root does not exist. FoldsegError when it was built with other settings."""
    if not settings.root.exists():
        build_toy_city(settings.root, settings.toy_city or ToyCity())
    elif settings.toy_city is not None:
        check_toy_city(settings.root, settings.toy_city)


def build_toy_city(root: Path, toy: ToyCity) -> None:
    """Build the toy city in `root`, unless another process has built it meanwhile."""
    with locked(root, wait=True):  # the first of several folds builds it
        if root.exists():
            return
        logger.info("building the toy city in %s", root)
        pixels = toy.width * toy.height * (toy.train_frames + toy.test_frames)
        workers = os.cpu_count() or 1 if pixels > _MANY_PIXELS else 1
        generate_toy_city(root, **toy.model_dump(), workers=workers)


def check_toy_city(root: Path, toy: ToyCity) -> None:
    """FoldsegError when the city in `root` was built with other settings: as toy_city.json says, and as it shows."""
    stated = read_record(root / _TOY_SETTINGS, {}) if (root / _TOY_SETTINGS).is_file() else {}
    folders = [root / name for name in ("seg_train_images", "seg_test_images")]
    found = [list_files(folder).files if folder.is_dir() else [] for folder in folders]
    if not all(found):
        return  # the reader says what is missing
    height, width = image_size(found[0][0])
    shown = {"width": width, "height": height, "train_frames": len(found[0]), "test_frames": len(found[1])}
    have = {**stated, **shown}
    if different := {key: value for key, value in toy.model_dump().items() if have.get(key, value) != value}:
        built = ", ".join(f"{key} {have[key]}" for key in different)
        wanted = ", ".join(f"{key} {value}" for key, value in different.items())
        raise FoldsegError(
            f"{root}: was built with {built}; the settings say {wanted}; remove it or give data.root another name"
        )

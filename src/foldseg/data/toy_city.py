"""The built-in city as a data set: built where it is missing, checked against its settings where it is not."""

import logging
import os
from pathlib import Path
from typing import Any

from foldseg.config.schema import ToyCity
from foldseg.data.listing import list_files
from foldseg.data.reading import read_image_size
from foldseg.errors import FoldsegError
from foldseg.files import locked, read_record
from toycity import generate_toy_city

logger = logging.getLogger(__name__)

_BUILT_WITH = "toy_city.json"
"""Name of the file that `generate_toy_city` writes its settings to."""
_DEFAULTS = {"width": 256, "height": 160, "train_frames": 60, "test_frames": 20, "seed": 0}
"""What is drawn where a setting is null. The descriptions of `ToyCity` say the same."""
_MANY_PIXELS = 50_000_000
"""From this size on, several processes build the city faster than one, although they have to be started."""


def prepare_toy_city(toy: ToyCity, root: Path) -> None:
    """Build the toy city if its root does not exist. FoldsegError when it was built with other settings."""
    settings = toy.model_dump(exclude={"kind"}, exclude_none=True)
    if root.exists():
        _check_toy_city(root, settings)
    else:
        _build_toy_city(root, _DEFAULTS | settings)


def _build_toy_city(root: Path, settings: dict[str, Any]) -> None:
    """Build the toy city in `root`, unless another process has built it meanwhile."""
    with locked(root, wait=True):  # several folds may start together: the first one builds it
        if root.exists():
            return
        logger.info("building the toy city in %s", root)
        frames = settings["train_frames"] + settings["test_frames"]
        has_many_pixels = settings["width"] * settings["height"] * frames > _MANY_PIXELS
        workers = (os.cpu_count() or 1) if has_many_pixels else 1
        generate_toy_city(root, **settings, workers=workers)


def _check_toy_city(root: Path, settings: dict[str, Any]) -> None:
    """Raise FoldsegError if the city in `root` was built with other settings.

    Size and number of frames are those of the files, the seed is that of toy_city.json. What neither says is not
    checked.
    """
    folders = [root / name for name in ("seg_train_images", "seg_test_images")]
    train, test = [list_files(folder).files if folder.is_dir() else [] for folder in folders]
    if not train or not test:
        return  # the reader says what is missing
    built = read_record(root / _BUILT_WITH, {}) if (root / _BUILT_WITH).is_file() else {}
    height, width = read_image_size(train[0])
    built |= {"width": width, "height": height, "train_frames": len(train), "test_frames": len(test)}
    different = [key for key, value in settings.items() if built.get(key, value) != value]
    if different:
        built_with = ", ".join(f"{key} {built[key]}" for key in different)
        wanted = ", ".join(f"{key} {settings[key]}" for key in different)
        raise FoldsegError(
            f"{root}: was built with {built_with}; the settings say {wanted}; remove it or give data.root another name"
        )

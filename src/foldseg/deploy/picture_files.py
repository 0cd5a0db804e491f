"""The pictures that a command line names, and what their results are called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldseg.data.listing import PICTURES, list_files
from foldseg.errors import FoldsegError
from foldseg.outputs import is_within


@dataclass(frozen=True)
class PictureFile:
    """A picture to predict: its file, and the name of its result.

    The name has no suffix. It is relative to the folder that the command line names.
    """

    path: Path
    name: str


def find_pictures(paths: Sequence[Path], out: Path) -> list[PictureFile]:
    """Return files, and the pictures in folders at any depth, sorted by name. Files that are left out are logged.

    Pictures in `out` are left out. A file that is named may have any suffix. FoldsegError for a path that is missing,
    a folder without pictures, and two files whose results would have the same name.
    """
    if not paths:
        raise FoldsegError("no picture or folder is given")
    path_of_name: dict[str, Path] = {}
    for path in paths:
        for picture in _pictures_at(path, out):
            first = path_of_name.setdefault(picture.name, picture.path)
            if first.absolute() != picture.path.absolute():
                raise FoldsegError(f"{first} and {picture.path} would both be predicted into {out / picture.name}")
    return [PictureFile(path, name) for name, path in sorted(path_of_name.items())]


def _pictures_at(path: Path, out: Path) -> list[PictureFile]:
    if not path.exists():
        raise FoldsegError(f"{path}: no such file or folder")
    if path.is_dir():
        return _pictures_in(path, out)
    if is_within(path, out):
        raise FoldsegError(f"{path}: lies in {out}, where its result would take its place; give --out another folder")
    has_picture_suffix = path.suffix.lower() in PICTURES  # the "suffix" of `street.2024` is part of its name
    return [PictureFile(path, path.stem if has_picture_suffix else path.name)]


def _pictures_in(folder: Path, out: Path) -> list[PictureFile]:
    if is_within(folder, out):
        raise FoldsegError(f"{out}: is where the pictures are; give --out another folder")
    files = list_files(folder, deep=True, without=out).files
    if not files:
        raise FoldsegError(f"{folder}: holds no pictures ({', '.join(PICTURES)})")
    return [PictureFile(file, file.relative_to(folder).with_suffix("").as_posix()) for file in files]

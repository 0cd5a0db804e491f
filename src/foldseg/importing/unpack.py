"""Archives that tools export, unpacked."""

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from foldseg.errors import FoldsegError, short_name

_SYSTEM = ("__MACOSX", ".DS_Store")


def is_archive(path: Path) -> bool:
    """Return whether a path is a zip or tar file."""
    try:
        return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    except OSError:  # whatever reads the file says what is wrong
        return False


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into a new folder.

    FoldsegError if it is damaged, is encrypted, has names that lead out of the folder, or does not fit on the disk.
    """
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(path):
            _unpack_zip(path, folder)
        else:
            with tarfile.open(path) as archive:
                _check_space(path, folder, sum(member.size for member in archive))
                archive.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise FoldsegError(
            f"{path}: is a damaged archive, or one of another kind ({error}); download it again"
        ) from None
    except RuntimeError as error:  # zipfile's error for encrypted files
        raise FoldsegError(f"{path}: cannot be unpacked ({error})") from None
    except OSError as error:
        raise FoldsegError(f"{folder}: could not be written: {error.strerror or error}") from error


def _unpack_zip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check_space(path, folder, sum(member.file_size for member in members))
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or "\0" in member.filename:
                raise FoldsegError(f"{path}: holds {short_name(member.filename)!r}, which would be written elsewhere")
            if any(part in _SYSTEM for part in name.parts):
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as content, target.open("wb") as stream:
                shutil.copyfileobj(content, stream, 1 << 20)


def _check_space(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FoldsegError(
            f"{path}: needs {needed / 2**30:.1f} GiB once it is unpacked; {free / 2**30:.1f} GiB are free"
        )

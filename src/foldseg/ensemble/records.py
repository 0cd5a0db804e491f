"""Keep the results of a function for each image on disk, so that work that was stopped goes on."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from foldseg.ensemble.parallel import map_in_processes
from foldseg.errors import FoldsegError
from foldseg.files import remove_partials, write_bytes
from foldseg.inputs import check_is_file, read_bytes

Arrays = Mapping[str, NDArray[Any]]

_SEAL = "seal"
"""Name of the array in a record that says which image, pass and files it is of."""


class HasId(Protocol):
    """A task that says which image it is of."""

    @property
    def id(self) -> str:
        """The image's id."""


TaskT = TypeVar("TaskT", bound=HasId)


@dataclass(frozen=True)
class Records:
    """A folder of records `<id>.npz`. Its name has a hash of all that the records depend on."""

    folder: Path

    @staticmethod
    def of(parent: Path, name: str, made_from: Any) -> "Records":
        """Return the folder for what the records are `made_from` (plain types and arrays). It need not exist."""
        content = json.dumps(made_from, sort_keys=True, default=_to_plain)
        return Records(parent / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}")

    @property
    def fingerprint(self) -> str:
        """The hash in the folder's name."""
        return self.folder.name.rpartition("-")[2]

    def process(
        self,
        function: Callable[[TaskT], Arrays],
        tasks: Sequence[TaskT],
        outputs_of: Callable[[str], list[Path]],
        workers: int,
        description: str,
    ) -> Iterator[Arrays]:
        """Yield what `function` returns for each task, in order, with only a few of them in memory.

        A record that is there is read instead. An image is made again if its record is damaged, or of another image or
        pass, or if a file that `function` wrote for it is missing or changed. `outputs_of` returns the files of an id.
        `description` names the progress bar.
        """
        remove_partials(self.folder)
        read_or_make = partial(_read_or_make, function, outputs_of, self.folder)
        yield from map_in_processes(read_or_make, tasks, workers, description)


def _read_or_make(
    function: Callable[[TaskT], Arrays], outputs_of: Callable[[str], list[Path]], folder: Path, task: TaskT
) -> Arrays:
    path, outputs = folder / f"{task.id}.npz", outputs_of(task.id)
    if path.is_file():
        with suppress(FoldsegError):  # a damaged record is made again
            arrays = read_arrays(path)
            seal = arrays.pop(_SEAL, np.empty(0))
            if np.array_equal(seal, _seal(folder, task.id, outputs)):
                return arrays
    arrays = dict(function(task))
    write_arrays(path, {**arrays, _SEAL: _seal(folder, task.id, outputs)})
    return arrays


def _seal(folder: Path, name: str, outputs: Sequence[Path]) -> NDArray[np.uint8]:
    """Return a hash, (32,) uint8, of the folder's name, the image's id, and the content of its files.

    FoldsegError if one of them cannot be read.
    """
    digest = hashlib.sha256(f"{folder.name} {name}".encode())
    for path in outputs:
        digest.update(hashlib.sha256(read_bytes(path)).digest())
    return np.frombuffer(digest.digest(), np.uint8)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays by name as .npz, all of it or nothing."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz by name. FoldsegError if it is missing, damaged or another kind of file."""
    check_is_file(path)
    try:
        content = np.load(path)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                return _check_arrays(dict(content))
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise FoldsegError(f"{path}: is damaged ({error})") from error
    raise FoldsegError(f"{path}: is no .npz file")


def _check_arrays(arrays: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Raise ValueError for what is no array of numbers: numpy returns the bytes of entries that it does not know."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ValueError(f"{name} is no array of numbers")
    return arrays


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")

"""Work on many images that goes on where it was stopped: what is made of an image is kept until all is done."""

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

from foldseg.ensemble.parallel import processed
from foldseg.errors import FoldsegError
from foldseg.files import remove_partials, write_bytes
from foldseg.inputs import check_is_file

Outcome = dict[str, NDArray[Any]]


class Named(Protocol):
    """A task that says which image it is of."""

    @property
    def id(self) -> str:
        """The image's id."""


TaskT = TypeVar("TaskT", bound=Named)


@dataclass(frozen=True)
class Work:
    """A folder of outcomes, `<id>.npz`, of one function, with all that its outcomes depend on in the folder's name."""

    folder: Path

    @staticmethod
    def of(parent: Path, name: str, facts: Any) -> "Work":
        """Return the folder for these facts (plain types and arrays), whether it exists or not."""
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=_plain).encode()).hexdigest()[:16]
        return Work(parent / f"{name}-{digest}")

    def outcomes(
        self, function: Callable[[TaskT], Outcome], tasks: Sequence[TaskT], workers: int, what: str
    ) -> Iterator[Outcome]:
        """Outcomes in the order of the tasks, only a few of them in memory; those that are kept are read."""
        remove_partials(self.folder)
        yield from processed(partial(_kept, function, self.folder), tasks, workers, what)


def _kept(function: Callable[[TaskT], Outcome], folder: Path, task: TaskT) -> Outcome:
    path = folder / f"{task.id}.npz"
    if path.is_file():
        with suppress(FoldsegError):  # damaged: it is made again
            return read_arrays(path)
    outcome = function(task)
    write_arrays(path, outcome)
    return outcome


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name as .npz, all of it or nothing."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz by name. FoldsegError when it is missing, damaged or something else."""
    check_is_file(path)
    try:
        content = np.load(path)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                return _checked(dict(content))
    except OSError as error:
        raise FoldsegError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise FoldsegError(f"{path}: is damaged ({error})") from error
    raise FoldsegError(f"{path}: is no .npz file")


def _checked(arrays: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """ValueError for what is no array of numbers: numpy gives the bytes of whatever it does not know."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ValueError(f"{name} is no array of numbers")
    return arrays


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be told in JSON")

"""`fitted.npz` of a finished ensemble: parameters of its steps, fitted on all OOF images, and which are left out.

    <place>/<name>    the parameters of the step at a place, from 0 on
    left_out          the places of the steps that are left out
    sha256            of all the other arrays: (32,) uint8

A step that is left out has no parameters.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Step
from foldseg.ensemble.line import Line, is_fitted
from foldseg.ensemble.records import read_arrays, write_arrays
from foldseg.errors import FoldsegError

_LEFT_OUT, _CHECKSUM = "left_out", "sha256"
_REMEDY = "run foldseg ensemble again"


def write_fitted_steps(path: Path, line: Line) -> None:
    """Write the parameters of a line, and which of its steps are left out."""
    arrays: dict[str, NDArray[Any]] = {}
    for place, params in enumerate(line.params):
        arrays |= {f"{place}/{key}": value for key, value in (params or {}).items()}
    arrays[_LEFT_OUT] = np.array(sorted(line.left_out), np.int64)
    write_arrays(path, arrays | {_CHECKSUM: _checksum(arrays)})


def read_fitted_steps(path: Path, steps: Sequence[Step]) -> Line:
    """Return the line of these steps with the parameters that were fitted on all OOF images.

    FoldsegError when the file is missing or damaged, or is of other steps.
    """
    if not path.is_file():
        raise FoldsegError(f"{path}: no such file; {_REMEDY}")
    try:
        arrays = read_arrays(path)
    except FoldsegError as error:
        raise FoldsegError(f"{error}; {_REMEDY}") from error
    if _LEFT_OUT not in arrays:
        raise FoldsegError(f"{path}: does not say which steps are left out, so it is of an older foldseg; {_REMEDY}")
    stated = arrays.pop(_CHECKSUM, np.empty(0))
    is_intact = np.array_equal(stated, _checksum(arrays))
    if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise FoldsegError(f"{path}: is damaged: {odd[0]} holds NaN or infinity; {_REMEDY}")
    left_out = frozenset(arrays.pop(_LEFT_OUT).ravel().tolist())
    params: list[dict[str, NDArray[Any]]] = []
    for place in range(len(steps)):
        prefix = f"{place}/"
        params.append({key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)})
    fitted = [place for place, step in enumerate(steps) if is_fitted(step) and place not in left_out]
    if [place for place, arrays_of_step in enumerate(params) if arrays_of_step] != fitted or sum(
        map(len, params)
    ) != len(arrays):
        raise FoldsegError(
            f"{path}: holds {sorted(arrays) or 'nothing'}, which is not of the steps in config.yaml; {_REMEDY}"
        )
    if not is_intact:
        raise FoldsegError(f"{path}: is damaged: its arrays are not those that were written; {_REMEDY}")
    return Line(tuple(steps), tuple(arrays_of_step or None for arrays_of_step in params), left_out)


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Return the SHA-256 of names, types, shapes and values, (32,) uint8."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def read_left_out(path: Path) -> list[int]:
    """Return the places, from 0 on, of the steps that are left out. FoldsegError when the file cannot be read."""
    return sorted(read_arrays(path).get(_LEFT_OUT, np.empty(0, np.int64)).tolist())

"""`fitted.npz` of a finished ensemble: what was fitted for its steps on all OOF images, and which of them are left out.

    <place>/<name>    the parameters of the step at a place, from 0 on
    left_out          the places of the steps that are left out

A step that is left out has no parameters.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foldseg.config.schema import Step
from foldseg.ensemble.line import Line
from foldseg.ensemble.steps import STEPS
from foldseg.ensemble.work import read_arrays, write_arrays
from foldseg.errors import FoldsegError

_LEFT_OUT = "left_out"
_REMEDY = "run foldseg ensemble again"


def write_line(path: Path, line: Line) -> None:
    """Write what is fitted and left out."""
    arrays = {f"{place}/{key}": value for place, own in enumerate(line.params) for key, value in (own or {}).items()}
    write_arrays(path, arrays | {_LEFT_OUT: np.array(sorted(line.left_out), np.int64)})


def read_line(path: Path, steps: Sequence[Step]) -> Line:
    """Return the line of these steps with what was fitted for them on all OOF images.

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
    if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise FoldsegError(f"{path}: is damaged: {odd[0]} holds NaN or infinity; {_REMEDY}")
    left_out = frozenset(arrays.pop(_LEFT_OUT).ravel().tolist())
    parts = [
        {key.partition("/")[2]: arrays[key] for key in arrays if key.startswith(f"{i}/")} for i in range(len(steps))
    ]
    fitted = [place for place, s in enumerate(steps) if STEPS[type(s)].is_fitted(s) and place not in left_out]
    if [place for place, part in enumerate(parts) if part] != fitted or sum(map(len, parts)) != len(arrays):
        raise FoldsegError(
            f"{path}: holds {sorted(arrays) or 'nothing'}, which is not of the steps in config.yaml; {_REMEDY}"
        )
    return Line(tuple(steps), tuple(part or None for part in parts), left_out)


def left_out_of(path: Path) -> list[int]:
    """Return the places, from 0 on, of the steps that are left out. FoldsegError when the file cannot be read."""
    return sorted(read_arrays(path).get(_LEFT_OUT, np.empty(0, np.int64)).tolist())

"""Loads a score of one's own: a function of counts in a file beside the configurations.

A setting names it as `my_scores.py:my_score`. It has the signature of the functions in `scores.py`:

    from foldseg.scoring.intervals import Ratios

    def my_score(counts, labels):
        shared, truth, predicted = counts[:, labels.scored].transpose(2, 0, 1)
        return Ratios(2.0 * shared, 1.0 * truth + predicted)

So it has intervals, can be monitored and fitted on, and may be moved into `SCORES` as it is. It is tried on a small
example first (`trial.py`), which also tells what it depends on.
"""

import importlib.util
import inspect
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from foldseg.config.schema.names import is_own_score
from foldseg.data.hashes import hash_file
from foldseg.errors import FoldsegError
from foldseg.scoring.class_values import ClassValue
from foldseg.scoring.score_definition import ScoreDefinition
from foldseg.scoring.trial import define_by_trial


def load_own_score(name: str, class_value: ClassValue) -> ScoreDefinition:
    """Return the definition of the score `FILE.py:FUNCTION`; `class_value` is shown beside it.

    FoldsegError if the file is missing or raises, has no such function, or if the function fails on the example. The
    file is read again only if it has changed.
    """
    path, function_name = split_own_score(name)
    if not path.is_file():
        raise FoldsegError(
            f"{path}: no such file in {Path.cwd()}; it should hold the function {function_name} of a score"
        )
    return _load(path, function_name, path.stat().st_mtime_ns, class_value, name)


@lru_cache
def _load(path: Path, function_name: str, changed_ns: int, class_value: ClassValue, name: str) -> ScoreDefinition:
    """Load a score of a file as it was at a time of change."""
    module = _import_file(path)
    function = getattr(module, function_name, None)
    if not callable(function):
        functions = [key for key, _ in inspect.getmembers(module, inspect.isfunction) if not key.startswith("_")]
        raise FoldsegError(f"{path}: has no function {function_name}; it has {', '.join(functions) or 'none'}")
    return define_by_trial(function, class_value, name)


def split_own_score(name: str) -> tuple[Path, str]:
    """Return the file and the function of `FILE.py:FUNCTION`."""
    path, _, function_name = name.rpartition(":")
    return Path(path).expanduser(), function_name


def hash_own_score(name: str) -> str:
    """Return the SHA-256 of the file of a score of one's own, "" for any other name."""
    return hash_file(split_own_score(name)[0]) if is_own_score(name) else ""


class _UncachedLoader(SourceFileLoader):
    """Reads a file without `__pycache__`, which would miss a second change within a second."""

    def path_stats(self, path: str) -> dict[str, Any]:
        """Say that the file has no time of change, so that nothing is kept."""
        raise OSError


def _import_file(path: Path) -> ModuleType:
    """Run a file as a module of its own. FoldsegError if it raises."""
    loader = _UncachedLoader(f"own_score_{path.stem}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise FoldsegError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module

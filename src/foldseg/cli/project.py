"""From which folder a command works: the project's, whatever folder it is given in.

Relative paths in settings are relative to the project. Relative paths on the command line are relative to where the
command is given, or, of what is read, else to the project.
"""

import logging
import os
from pathlib import Path

from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

_CONFIGURATIONS = ("configs/data", "configs/experiments", "configs/ensembles")
"""A folder that has one of these is a project."""
_given_in: Path | None = None  # the folder in which the command was given, if it is not the project's


def enter_project(project: Path | None) -> None:
    """Make the project's folder the working directory, and say so if it was another one.

    project: the folder; None: the nearest project, from the working directory upwards. Where there is none, the working
        directory stays. FoldsegError when `project` is no project.
    """
    global _given_in
    here = Path.cwd()
    if project is not None and not is_project(project):
        raise FoldsegError(f"{project}: is no project of foldseg: it has none of {', '.join(_CONFIGURATIONS)}")
    home = project or next((folder for folder in (here, *here.parents) if is_project(folder)), here)
    if not home.samefile(here):
        _given_in = here
        os.chdir(home)
        logger.info("project: %s", home)


def is_project(folder: Path) -> bool:
    """Return whether a folder is a project of foldseg: whether its `configs/` holds data, experiments or ensembles."""
    return any((folder / name).is_dir() for name in _CONFIGURATIONS)


def path_in_project(path: Path, *, is_read: bool = True) -> Path:
    """Return a path of the command line as seen from the project's folder.

    is_read: whether what is not there may be the project's of that name; what is written is where it was asked for.
    """
    if _given_in is None or path.is_absolute():
        return path
    there = _given_in / path
    if is_read and path.exists() and not there.exists():
        return path
    return Path(os.path.relpath(there))

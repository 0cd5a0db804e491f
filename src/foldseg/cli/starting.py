"""The verb that lays out a new project's folder."""

import shutil
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from foldseg.cli import panels
from foldseg.cli.arguments import parse_output
from foldseg.errors import FoldsegError
from foldseg.files import scratch

_SHARED = "share/foldseg"  # where a wheel puts the folders below; see pyproject.toml
_COPIED = ("configs", "folds")


def add_verbs(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(rich_help_panel=panels.DATA, epilog="Example: foldseg init my_contest")(init)


def init(
    folder: Annotated[
        Path, typer.Argument(parser=parse_output, metavar="FOLDER", help="The folder of the new project.")
    ],
) -> None:
    """Copy the configurations and folds of foldseg into a folder, to start a project there."""
    for name in _COPIED:
        if (folder / name).exists() or (folder / name).is_symlink():
            raise FoldsegError(f"{folder / name}: is there already; give another folder, or remove it")
    root = _shared_root()
    try:
        with scratch(folder / ".foldseg-init") as place:  # a copy that is stopped leaves no half of a project
            for name in _COPIED:
                shutil.copytree(root / name, place / name)
            for name in _COPIED:
                (place / name).rename(folder / name)
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FoldsegError(f"{folder}: could not be written: {reason}") from error
    print(f"{' and '.join(str(folder / name) for name in _COPIED)}: give commands in {folder}")


def _shared_root() -> Path:
    """Return the folder of configs and folds: of the repository, or where the wheel was installed."""
    repository = Path(__file__).parents[3]
    if (repository / "pyproject.toml").is_file() and (repository / "configs").is_dir():
        return repository
    for file in metadata.files("foldseg") or ():
        if file.as_posix().endswith(f"{_SHARED}/configs/ensembles/toy.yaml"):
            return Path(str(file.locate())).resolve().parents[2]
    raise FoldsegError("foldseg is installed without its configurations; install its wheel again")

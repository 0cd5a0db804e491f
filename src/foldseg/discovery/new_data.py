"""From the files of a person to configurations that run."""

import re
from pathlib import Path

from foldseg.config import load_data, load_ensemble, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.discovery.files import find_files
from foldseg.discovery.folders import propose_folders
from foldseg.discovery.imported import propose_import
from foldseg.discovery.path_tables import find_path_table, propose_path_table
from foldseg.discovery.proposal import Proposal
from foldseg.discovery.run_tables import find_run_tables, propose_run_table
from foldseg.discovery.yaml_text import configuration_paths, write_data, write_ensemble, write_experiment
from foldseg.errors import FoldsegError
from foldseg.files import write_text
from foldseg.inputs import is_absent

_NAME = re.compile(r"[A-Za-z0-9][\w\-]*")
_TABLES = (".csv", ".tsv", ".parquet")


def propose(root: Path, name: str, source: Path | None = None, images: Path | None = None) -> Proposal:
    """Look at the files below `root` and return a proposal; with `source`, annotations are first imported into `root`.

    FoldsegError if there are no pictures, if nothing can be read, or if the name cannot be that of a file.
    """
    if not _NAME.fullmatch(name):
        raise FoldsegError(f"--name {name!r}: should be letters, digits, _ and -, as it becomes the name of files")
    if source is not None and source.suffix.lower() not in _TABLES:
        return propose_import(root, name, source, images)
    if not root.is_dir():
        raise FoldsegError(f"{root}: no such folder")
    tables = _find_tables(root, source)
    run_tables = find_run_tables(tables)
    if run_tables:
        return propose_run_table(root, name, run_tables, tables)
    path_table = find_path_table(root, tables)
    if path_table is not None:
        return propose_path_table(root, name, *path_table)
    return propose_folders(root, name, tables)


def _find_tables(root: Path, source: Path | None) -> list[Path]:
    """Return the tables of the data, the one that was named first. FoldsegError if it is not below the root."""
    tables = [path for path in find_files(root, _TABLES) if path.stat().st_size]
    if source is None:
        return tables
    if not source.resolve().is_relative_to(root.resolve()):
        raise FoldsegError(f"{source}: should lie in {root}, the folder of the data")
    return [source, *(path for path in tables if path.resolve() != source.resolve())]


def write_configurations(proposal: Proposal, configs: Path, overwrite: bool = False) -> dict[str, Path]:
    """Write the YAML of the data set, of the experiment and of the ensemble, and return their paths by these words.

    All are read back, and the data is opened, before anything is written. FoldsegError if one is there already.
    """
    paths = configuration_paths(proposal.name, configs)
    existing = [str(path) for path in paths.values() if not is_absent(path)]
    if existing and not overwrite:
        raise FoldsegError(f"{', '.join(existing)}: exist already; give another --name, or --overwrite")
    texts = {
        "data": write_data(proposal),
        "experiment": write_experiment(proposal),
        "ensemble": write_ensemble(proposal),
    }
    previous = {key: path.read_text() if path.is_file() else None for key, path in paths.items()}
    try:
        for key, path in paths.items():
            write_text(path, texts[key])
        load_experiment(paths["experiment"])
        load_ensemble(paths["ensemble"])
        _ = DataSet(load_data(paths["data"])).samples
    except FoldsegError:
        for key, path in paths.items():
            path.unlink(missing_ok=True) if previous[key] is None else write_text(path, previous[key] or "")
        raise
    return paths

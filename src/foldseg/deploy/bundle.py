"""Writes bundles: zips from which a machine without internet installs foldseg, and predicts or trains.

run.py  README.txt           what is run, and how
requirements.txt  wheels/    the packages
bundle.json                  what it was made from
project/                     a project of foldseg: for predicting, the runs with their weights and the submission
"""

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import foldseg
from foldseg.config import load_experiment
from foldseg.deploy import bundle_run
from foldseg.deploy.bundle_project import add_experiments, add_submission
from foldseg.deploy.bundle_wheels import (
    TORCH,
    collect_wheels,
    copy_wheels,
    list_requirements,
    list_step_packages,
    normalise,
    write_own_wheel,
)
from foldseg.errors import FoldsegError
from foldseg.files import replacing, write_json, write_text
from foldseg.outputs import SIGNATURE
from foldseg.runs.provenance import git_commit
from foldseg.runs.submission_folder import SubmissionFolder

logger = logging.getLogger(__name__)

_README = """foldseg bundle: {what}

In a notebook, with this bundle as an input (its folder is BUNDLE):

    !python BUNDLE/run.py {words}

Replace words in capital letters. Packages are installed from BUNDLE/wheels alone, without internet. Packages that the
machine has already stay, if their version will do.
"""


def write_bundle(
    source: Path,
    out: Path,
    *,
    train: bool = False,
    wheels: Path | None = None,
    with_torch: bool = False,
    bare: bool = False,
) -> str:
    """Write the bundle `out` of a finished submission, or with `train` of an experiment; return what it holds.

    `train`: also bundle the experiments, the folds and the packages of training. `wheels`: a folder of wheels; None:
    pip gets those that are installed. `with_torch`: torch, too. `bare`: no wheels but foldseg's.

    FoldsegError if the submission is not finished, a file is missing, or wheels cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="foldseg_bundle_") as name:
        folder = Path(name)
        project = folder / bundle_run.PROJECT
        if source.suffix in (".yaml", ".yml"):
            if not train:
                raise FoldsegError(
                    f"{source}: an experiment has nothing to predict with; add --train, or give submissions/X"
                )
            optional: list[str] = []
            facts = add_experiments(project, [load_experiment(source)])
            what, words = f"training of {source.stem}", f"train configs/experiments/{source.stem}.yaml 0 data.root=DATA"
        else:
            facts, experiments = add_submission(project, source)
            optional = list_step_packages(SubmissionFolder(source).read_settings().steps)
            if train:
                facts |= add_experiments(project, experiments)
            what = f"prediction with {source.name}"
            files = _list_contest_files(source)
            words = " ".join([f"predict-test submissions/{source.name} OUT data.root=DATA", *files, "--time-limit 9h"])
        requirements = [*list_requirements(train=train), *optional]
        write_text(folder / bundle_run.REQUIREMENTS, "\n".join(requirements) + "\n")
        _add_wheels(folder / bundle_run.WHEELS, requirements, wheels, with_torch=with_torch, bare=bare)
        shutil.copyfile(bundle_run.__file__, folder / "run.py")
        write_text(folder / "README.txt", _README.format(what=what, words=words))
        made = datetime.now(UTC).isoformat(timespec="seconds")
        facts |= {"made": made, "foldseg": foldseg.__version__, "git_commit": git_commit()}
        write_json(folder / "bundle.json", facts)
        _zip(folder, out)
        return _describe(folder, out, words)


def _list_contest_files(path: Path) -> list[str]:
    """Return overrides for the files of the contest that the format reads, such as a sample of the submission."""
    settings = SubmissionFolder(path).read_settings().submission
    files = {name: getattr(settings, name) for name in type(settings).model_fields}
    return [f"submission.{name}=DATA/{file.name}" for name, file in files.items() if isinstance(file, Path)]


def _add_wheels(folder: Path, requirements: list[str], source: Path | None, *, with_torch: bool, bare: bool) -> None:
    """Put wheels into a folder: foldseg's, and those of a folder or those that pip gets."""
    folder.mkdir()
    write_own_wheel(folder)
    if bare:
        return
    if source is not None:
        copy_wheels(source, folder)
    else:
        collect_wheels(requirements, folder, with_torch=with_torch)
    present = {normalise(wheel.name.split("-")[0]) for wheel in folder.glob("*.whl")}
    missing = [line for line in requirements if normalise(line) not in present | (set() if with_torch else TORCH)]
    if missing:
        logger.warning("not bundled, so the machine must have: %s", ", ".join(missing))


def _zip(folder: Path, out: Path) -> None:
    """Write all files below a folder into a zip, whole or not at all. Weights and wheels are compressed already."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = f"bundle of {SIGNATURE}".encode()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())


def _describe(folder: Path, out: Path, words: str) -> str:
    """Return what a bundle holds, and the cell of a notebook that uses it."""

    def megabytes(paths: Iterable[Path]) -> str:
        return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"

    wheels = list((folder / bundle_run.WHEELS).glob("*.whl"))
    lines = [f"{out}: {megabytes([out])}"]
    lines.append(f"  {len(wheels)} wheels, {megabytes(wheels)}")
    checkpoints = list(folder.rglob("*.ckpt"))
    if checkpoints:
        lines.append(f"  {len(checkpoints)} files of weights, {megabytes(checkpoints)}")
    return "\n".join([*lines, "a cell of the notebook:", f"  !python BUNDLE/run.py {words}"])

"""The folder of one run: an experiment's fold. It describes itself before the first batch.

runs/<experiment>/fold_<k>/config.yaml provenance.json data.csv    written before the first batch
                           checkpoints/best.ckpt last.ckpt    and what was asked for: ema swa average snapshot_1 top_7
                           metrics.csv tensorboard/
                           summary.json                   written last: its presence means finished
                           predictions/oof predictions/test
"""

import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

import foldseg
from foldseg.config import Experiment, load_experiment, save
from foldseg.data.content import file_hash
from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.files import read_record, write_json

LIBRARIES = (
    "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "albumentations",
    "opencv-python-headless", "numpy", "pandas", "scikit-learn",
)  # fmt: skip

_DECISIVE = (":/src", ":/scripts", ":/configs", ":/folds", ":/requirements.txt")  # a row in the ledger changes nothing


TRAINING_CODE = ("config", "data", "losses", "models", "scoring", "training", "views")
"""Rooms whose code decides what a run comes to."""


_FACTS = {"fold": Annotated[int, Field(ge=0)], "classes": list[str], "data_fingerprint": str}


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run and what is read from them."""

    path: Path

    @staticmethod
    def of(experiment: Experiment, fold: int) -> "RunFolder":
        """Return the folder of a fold of an experiment, whether it exists or not."""
        name = experiment.name + (f"-{experiment.debug}" if experiment.debug else "")
        return RunFolder(experiment.runs / name / f"fold_{fold}")

    @staticmethod
    def open(path: Path) -> "RunFolder":
        """Return a finished run. FoldsegError when it is missing, half written, still being trained or
        named after another fold than its own.
        """
        run = RunFolder(path)
        if not path.is_dir():
            raise FoldsegError(f"{path}: no such run; train it with foldseg train")
        missing = [f.name for f in (run.config, run.provenance, run.best, run.summary) if not f.is_file()]
        if missing:
            raise FoldsegError(
                f"{path}: the run is not finished ({', '.join(missing)} missing); "
                "the same foldseg train command goes on where it stopped"
            )
        number = path.name.removeprefix("fold_")
        if number.isdecimal() and number != path.name and int(number) != run.fold:
            raise FoldsegError(f"{path}: holds a run of fold {run.fold}; give it back the name fold_{run.fold}")
        return run

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Where the run comes from: commit, versions, seed, fold, classes, data."""
        return self.path / "provenance.json"

    @property
    def contents(self) -> Path:
        """What the images and masks held that the run learned from; see `foldseg.training.contents`."""
        return self.path / "data.csv"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def best(self) -> Path:
        """Weights of the epoch that was best by what is monitored."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """All that is needed to go on after the last finished epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    def checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint, whether it exists or not; `name`: best, last, swa, top_7, ...."""
        return self.path / "checkpoints" / f"{name}.ckpt"

    def existing_checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint. FoldsegError, which lists those that there are, when it is not there."""
        path = self.checkpoint(name)
        if not path.is_file():
            there = sorted(other.stem for other in path.parent.glob("[!.]*.ckpt"))
            raise FoldsegError(f"{path}: no such checkpoint; the run has {', '.join(there)}")
        return path

    @property
    def summary(self) -> Path:
        """Best epoch, its score and why training stopped."""
        return self.path / "summary.json"

    @property
    def predictions(self) -> Path:
        """The folder of prediction stores."""
        return self.path / "predictions"

    @cached_property
    def experiment(self) -> Experiment:
        """The configuration that the run was trained with."""
        return load_experiment(self.config)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The content of provenance.json."""
        return read_record(self.provenance, _FACTS)

    @property
    def fold(self) -> int:
        """The fold that the run validates on."""
        return int(self.facts["fold"])

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in order of the network's outputs."""
        return list(self.facts["classes"])

    @cached_property
    def checkpoint_hash(self) -> str:
        """SHA-256 of the best checkpoint; tells stale predictions."""
        return self.hash_of("best")

    def hash_of(self, name: str) -> str:
        """SHA-256 of a checkpoint. FoldsegError when the run has none of that name."""
        return file_hash(self.existing_checkpoint(name))

    def check_folds(self, data: DataSet) -> None:
        """FoldsegError unless the data set is divided into folds as it was when the run was trained.

        Otherwise images that the run trained on could pass for OOF.
        """
        if self.facts["data_fingerprint"] != data.fingerprint:
            raise FoldsegError(
                f"{self.path}: was trained on other images or another division into folds than "
                f"{data.settings.folds} holds now; train it anew (name=..., or remove the folder)"
            )

    def describe(self, experiment: Experiment, fold: int, classes: list[str], data: DataSet) -> None:
        """Write config.yaml and provenance.json; `classes` are those of the network's outputs."""
        labels = data.labels
        save(experiment, self.config)
        write_json(
            self.provenance,
            {
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "fold": fold,
                "seed": experiment.seed,
                "classes": classes,
                "labels": labels.facts if labels.names == classes else None,
                "data_fingerprint": data.fingerprint,
                "git_commit": git_commit(),
                "foldseg": foldseg.__version__,
                "python": platform.python_version(),
                "machine": platform.platform(),
                "libraries": {name: installed_version(name) for name in LIBRARIES},
            },
        )


def git_commit() -> str:
    """Return the commit, `-dirty` if files that decide a result were changed since, "" outside of a repository."""

    def git(*words: str) -> str:
        here = str(Path(__file__).parent)
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + "-dirty" if commit and git("status", "--porcelain", "--", *_DECISIVE) else commit
    except OSError:
        return ""


def installed_version(name: str) -> str:
    """Return the version of a library, "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

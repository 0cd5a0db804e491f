"""The folder of one run: an experiment's fold. It describes itself before the first batch.

runs/<experiment>/fold_<k>/config.yaml provenance.json data.csv    written before the first batch
                           checkpoints/best.ckpt last.ckpt    and what was asked for: ema swa average snapshot_1 top_7
                           metrics.csv tensorboard/
                           summary.json                   written last: its presence means finished
                           predictions/oof predictions/test
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from foldseg.config import Experiment, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.data.hashes import hash_file
from foldseg.errors import FoldsegError
from foldseg.files import read_record

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
    def is_described(self) -> bool:
        """Whether the run says what it is: a training has begun."""
        return self.config.is_file() and self.provenance.is_file()

    @property
    def sample_hashes(self) -> Path:
        """Hashes of the images, masks and weights that the run learned from; see `foldseg.runs.data_changes`."""
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
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation of the training images' channels; None if the encoder's own are taken."""
        if "mean" not in self.facts:
            return None
        return tuple(self.facts["mean"]), tuple(self.facts["std"])

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
        """Return the SHA-256 of a checkpoint. FoldsegError when the run has none of that name."""
        return hash_file(self.existing_checkpoint(name))

    def check_folds(self, data: DataSet) -> None:
        """Raise FoldsegError unless the data set is divided into folds as it was when the run was trained.

        Otherwise images that the run trained on could pass for OOF.
        """
        if self.facts["data_fingerprint"] != data.fingerprint:
            raise FoldsegError(
                f"{self.path}: was trained on other images or another division into folds than "
                f"{data.settings.folds} holds now; train it anew (name=..., or remove the folder)"
            )


def find_start(source: Path) -> Path:
    """Return the checkpoint that `model.start_from` means: the best one of a run's folder, or the file itself.

    It need not exist.
    """
    return RunFolder(source).best if source.is_dir() else source

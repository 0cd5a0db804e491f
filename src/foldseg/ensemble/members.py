"""Which runs an ensemble blends, and which of their stores predict an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from foldseg.config import Ensemble
from foldseg.data.datasets import folded_samples
from foldseg.errors import FoldsegError
from foldseg.inference.predict import predict_run, store_of
from foldseg.inference.store import PredictionStore
from foldseg.training.run import RunFolder


@dataclass(frozen=True)
class Members:
    """The finished runs of an ensemble: experiment -> fold -> run; all of one data set, folds file and label set."""

    config: Ensemble
    runs: dict[str, dict[int, RunFolder]]

    @property
    def first(self) -> RunFolder:
        """Any run, for what all have in common."""
        return next(iter(next(iter(self.runs.values())).values()))

    @property
    def folds(self) -> list[int]:
        """The folds that every experiment has."""
        return list(next(iter(self.runs.values())))

    def sources(self, split: str, fold: int | None = None) -> dict[str, list[PredictionStore]]:
        """Experiment -> stores that predict an image.

        For an OOF image that is the one store of the fold that did not see it; for a test image those of all folds.
        """
        chosen = self.folds if fold is None else [fold]
        return {
            name: [store_of(runs[number], split, self.config.tta) for number in chosen]
            for name, runs in self.runs.items()
        }

    def predict(self, splits: Sequence[str]) -> None:
        """Write whatever stores are missing or stale."""
        for runs in self.runs.values():
            for run in runs.values():
                for store in predict_run(run, splits, self.config.tta):
                    store.require_complete()


def find_members(config: Ensemble) -> Members:
    """Open the runs of an ensemble. FoldsegError names runs that are missing, unfinished or do not fit together."""
    runs: dict[str, dict[int, RunFolder]] = {}
    problems: list[str] = []
    for member in config.members:
        folder = config.runs / member.experiment
        found = sorted(int(p.name.removeprefix("fold_")) for p in folder.glob("fold_*") if p.name[5:].isdecimal())
        if not found:
            raise FoldsegError(f"{folder}: no such experiment among the runs; train it with scripts/train_fold.sh")
        runs[member.experiment] = {}
        for fold in config.folds if config.folds is not None else _every_fold(RunFolder(folder / f"fold_{found[0]}")):
            try:
                runs[member.experiment][fold] = RunFolder.open(folder / f"fold_{fold}")
            except FoldsegError as error:
                problems.append(str(error))
    if problems:
        raise FoldsegError(f"{len(problems)} run(s) of the ensemble are not there:\n  " + "\n  ".join(problems))
    members = Members(config, runs)
    _check_alike(members)
    return members


def _every_fold(run: RunFolder) -> list[int]:
    return sorted(folded_samples(run.experiment.data)["fold"].unique().tolist())


def oof_table(run: RunFolder) -> pd.DataFrame:
    """Return the folded samples, by id, of the data that a run was trained on; FoldsegError if they have changed."""
    table = folded_samples(run.experiment.data)
    run.check_folds(table)
    return table


def _check_alike(members: Members) -> None:
    """FoldsegError unless all runs have the same classes, data set and folds as the first."""
    first = members.first
    for runs in members.runs.values():
        for run in runs.values():
            if run.classes != first.classes:
                raise FoldsegError(
                    f"{run.path}: predicts the classes {', '.join(run.classes)}, "
                    f"{first.path} predicts {', '.join(first.classes)}; they cannot be blended"
                )
            ours, theirs = run.experiment.data, first.experiment.data
            for key in ("dataset", "folds", "fold_splits"):
                if getattr(ours, key) != getattr(theirs, key):
                    raise FoldsegError(
                        f"{run.path}: its data.{key} is {getattr(ours, key)}, "
                        f"that of {first.path} is {getattr(theirs, key)}"
                    )
            if run.facts["data_fingerprint"] != first.facts["data_fingerprint"]:
                raise FoldsegError(f"{run.path}: was trained on other files or folds than {first.path}")

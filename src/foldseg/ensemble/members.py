"""Which runs an ensemble blends, and which of their stores predict an image."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Member, Tta
from foldseg.data.datasets import DataSet, OpenedData, get_label_set
from foldseg.data.labels import LabelSet
from foldseg.ensemble.image import ImageTask, MemberStores
from foldseg.ensemble.line import Line
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.errors import FoldsegError
from foldseg.inference.predict import facts_of, predict_run, store_of
from foldseg.inference.store import PredictionStore
from foldseg.runs.contents import CURE, content_changes
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels as trained_labels


@dataclass(frozen=True)
class Members:
    """The finished runs of an ensemble: member -> fold -> run; all of one data set and folds file."""

    config: Ensemble
    runs: dict[str, dict[int, RunFolder]]
    opened: OpenedData

    @property
    def first(self) -> RunFolder:
        """Any run, for what all have in common."""
        return next(iter(next(iter(self.runs.values())).values()))

    @property
    def folds(self) -> list[int]:
        """The folds that every member has."""
        return list(next(iter(self.runs.values())))

    @property
    def labels(self) -> LabelSet:
        """The classes that are blended, scored and handed in."""
        return blended_labels(self.config, self.first)

    @property
    def data(self) -> DataSet:
        """The data set of the first run; that of the others has the same images and folds."""
        return self.opened.open(self.first.experiment.data)

    @cached_property
    def oof(self) -> pd.DataFrame:
        """The images of the members' folds: rows of `data.folded`. FoldsegError if they are divided otherwise now."""
        self.first.check_folds(self.data)
        return self.data.folded[self.data.folded["fold"].isin(self.folds)]

    @cached_property
    def test(self) -> pd.DataFrame:
        """The test images, by id: rows of `data.test`; there may be none."""
        return self.data.test.sort_values("id")

    @cached_property
    def spec(self) -> EnsembleSpec:
        """What is the same for all images of the ensemble."""
        config = self.config
        names = tuple(member.name for member in config.members)
        weights = np.array([member.weight for member in config.members])
        return EnsembleSpec(names, weights, config.blend, self.labels, config.score)

    @cached_property
    def into(self) -> dict[str, NDArray[np.intp]]:
        """Member -> for each of its classes, the index in `labels`. FoldsegError when one has no place there."""
        return {name: _merged(next(iter(runs.values())), self.labels) for name, runs in self.runs.items()}

    def tta(self, member: Member) -> Tta:
        """Return the test-time augmentation that a member is predicted with."""
        return self.config.tta if member.tta is None else member.tta

    def sources(self, split: str, fold: int | None = None) -> dict[str, list[PredictionStore]]:
        """Member -> stores that predict an image.

        For an OOF image that is the one store of the fold that did not see it; for a test image those of all folds.
        """
        chosen = self.folds if fold is None else [fold]
        return {
            member.name: [
                store_of(self.runs[member.name][k], split, self.tta(member), member.view, member.checkpoint)
                for k in chosen
            ]
            for member in self.config.members
        }

    def oof_tasks(self, line: Line) -> list[ImageTask]:
        """Return what is done to each of the OOF images (rows of `oof`), with the same line of steps for all."""
        stores = {fold: self._member_stores("oof", fold) for fold in self.folds}
        return [self._task(row, stores[row["fold"]], line) for row in self.oof.to_dict("records")]

    def test_tasks(self, line: Line, fold: int | None = None) -> list[ImageTask]:
        """Return what is done to each of the test images (rows of `test`), predicted by all folds, or by one alone."""
        stores = self._member_stores("test", fold)
        return [self._task(row, stores, line) for row in self.test.to_dict("records")]

    def _member_stores(self, split: str, fold: int | None) -> tuple[MemberStores, ...]:
        sources = self.sources(split, fold)
        return tuple(MemberStores(tuple(stores), self.into[name]) for name, stores in sources.items())

    def _task(self, row: Mapping[Hashable, Any], members: tuple[MemberStores, ...], line: Line) -> ImageTask:
        root = self.data.root
        mask = root / row["mask"] if row["mask"] else None
        return ImageTask(row["id"], root / row["image"], mask, members, line, self.data.pictures)

    def predict(self, splits: Sequence[str]) -> None:
        """Write whatever stores are missing or stale."""
        for member in self.config.members:
            for run in self.runs[member.name].values():
                tta, view, checkpoint = self.tta(member), member.view, member.checkpoint
                stores = predict_run(run, splits, tta, view=view, checkpoint=checkpoint, opened=self.opened)
                for store in stores:
                    store.require_complete()

    def require_stores(self, splits: Sequence[str]) -> None:
        """FoldsegError when a store is missing, incomplete, or of other weights or pictures than there are now."""
        for member in self.config.members:
            for fold, run in self.runs[member.name].items():
                data = self.opened.open(run.experiment.data)
                for split in splits:
                    facts = facts_of(run, split, data, self.tta(member), member.view, member.checkpoint)
                    self.sources(split, fold)[member.name][0].require_complete(facts)

    def require_same_data(self) -> None:
        """FoldsegError when a run was trained on images or masks that are others now; it names the first."""
        changes: dict[Path, list[str]] = {}
        for run in {run.path: run for runs in self.runs.values() for run in runs.values()}.values():
            data = self.opened.open(run.experiment.data)
            run.check_folds(data)
            if found := content_changes(run, run.experiment, data):
                changes[run.path] = found
        if changes:
            path, found = next(iter(changes.items()))
            more = f" (and {len(changes) - 1} more runs of this ensemble)" if len(changes) > 1 else ""
            raise FoldsegError(
                f"{path}: was trained on something else than there is now: {'; '.join(found)}{more}. {CURE}"
            )


def find_members(config: Ensemble, opened: OpenedData | None = None) -> Members:
    """Open the runs of an ensemble. FoldsegError names runs that are missing, unfinished or do not fit together.

    `opened`: the data sets that are open already.
    """
    opened = opened or OpenedData()
    runs: dict[str, dict[int, RunFolder]] = {}
    problems: list[str] = []
    for member in config.members:
        folder = config.runs / member.experiment
        existing = list(ExperimentFolder(folder).runs.values())
        if not existing:
            raise FoldsegError(f"{folder}: no such experiment among the runs; train it with foldseg train")
        runs[member.name] = {}
        for fold in config.folds if config.folds is not None else opened.open(existing[0].experiment.data).folds:
            try:
                runs[member.name][fold] = _opened(folder / f"fold_{fold}", member.checkpoint)
            except FoldsegError as error:
                problems.append(str(error))
    if problems:
        raise FoldsegError(f"{len(problems)} run(s) of the ensemble are not there:\n  " + "\n  ".join(problems))
    members = Members(config, runs, opened)
    _check_alike(members)
    _check_different(members)
    return members


def _opened(path: Path, checkpoint: str) -> RunFolder:
    """Open a finished run that may be blended. FoldsegError for a debug run, and for a checkpoint that it has not."""
    run = RunFolder.open(path)
    if run.experiment.debug is not None:
        raise FoldsegError(f"{path}: is a debug run ({run.experiment.debug}), not to be blended")
    run.existing_checkpoint(checkpoint)
    return run


def blended_labels(config: Ensemble, run: RunFolder) -> LabelSet:
    """Return the label set of an ensemble of which `run` is a part: the run's own, or the contest's scored classes."""
    if config.labels == "as_trained":
        return trained_labels(run)
    return get_label_set(run.experiment.data.model_copy(update={"labels": "scored"}))


def _merged(run: RunFolder, labels: LabelSet) -> NDArray[np.intp]:
    trained = trained_labels(run)
    try:
        return trained.class_indices_in(labels)
    except FoldsegError as error:
        raise FoldsegError(f"{run.path}: its classes cannot be merged into the scored ones: {error}") from None


def _check_different(members: Members) -> None:
    """FoldsegError when two members would read the same predictions, which would count twice."""
    seen: dict[Path, str] = {}
    for name, (store, *_) in members.sources("oof", members.folds[0]).items():
        path = store.path.resolve()  # a link is another name of the same runs
        if path in seen:
            raise FoldsegError(f"members: {name} and {seen[path]} are the same predictions, {store.path}")
        seen[path] = name


def _check_alike(members: Members) -> None:
    """FoldsegError unless all runs have the same data set and folds as the first, and classes that can be blended.

    The folds of a member always have the same classes; members may differ if theirs are merged into the scored ones.
    """
    first = members.first
    for runs in members.runs.values():
        alike = first if members.config.labels == "as_trained" else next(iter(runs.values()))
        for run in runs.values():
            if run.classes != alike.classes:
                raise FoldsegError(
                    f"{run.path}: predicts the classes {', '.join(run.classes)}, "
                    f"{alike.path} predicts {', '.join(alike.classes)}; they cannot be blended"
                    + ("" if alike.path.parent == run.path.parent else " but with labels: scored, which merges them")
                )
            ours, theirs = run.experiment.data, first.experiment.data
            for key in ("dataset.kind", "folds", "fold_splits"):
                our_value, their_value = attrgetter(key)(ours), attrgetter(key)(theirs)
                if our_value != their_value:
                    raise FoldsegError(
                        f"{run.path}: its data.{key} is {our_value}, that of {first.path} is {their_value}"
                    )
            if run.facts["data_fingerprint"] != first.facts["data_fingerprint"]:
                raise FoldsegError(f"{run.path}: was trained on other files or folds than {first.path}")
            _merged(run, members.labels)

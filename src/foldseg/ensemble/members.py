"""The runs that an ensemble blends, and the stores in which they predict an image."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from foldseg.inference.run_stores import expected_metadata, predict_run, store_of
from foldseg.inference.store import PredictionStore
from foldseg.runs.data_changes import CURE, list_data_changes
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import trained_labels


@dataclass(frozen=True)
class Members:
    """The finished runs of an ensemble. All are of one data set and folds file."""

    config: Ensemble
    runs: dict[str, dict[int, RunFolder]]
    """Member -> fold -> run."""
    opened: OpenedData
    """The data sets that the command has opened."""

    @property
    def first(self) -> RunFolder:
        """One of the runs, to read what all have in common."""
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
        """The data set of the first run. Those of the others have the same images and folds."""
        return self.opened.open(self.first.experiment.data)

    @cached_property
    def oof(self) -> pd.DataFrame:
        """The images of the members' folds: rows of `data.folded`. FoldsegError if the folds have changed."""
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
        """Member -> for each of its classes, the index in `labels`. FoldsegError if a class has no place there."""
        return {name: _merge_into(next(iter(runs.values())), self.labels) for name, runs in self.runs.items()}

    def tta(self, member: Member) -> Tta:
        """Return the test-time augmentation that a member is predicted with."""
        return self.config.tta if member.tta is None else member.tta

    def sources(self, split: str, fold: int | None = None) -> dict[str, list[PredictionStore]]:
        """Return member -> stores that predict an image.

        An OOF image is predicted by one store, that of the fold that did not see it. A test image is predicted by all
        folds. `fold` chooses a single one.
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
        """Predict what is missing or stale in the members' stores."""
        for member in self.config.members:
            for run in self.runs[member.name].values():
                tta, view, checkpoint = self.tta(member), member.view, member.checkpoint
                stores = predict_run(run, splits, tta, view=view, checkpoint=checkpoint, opened=self.opened)
                for store in stores:
                    store.require_complete()

    def require_stores(self, splits: Sequence[str]) -> None:
        """Raise FoldsegError if a store is missing, incomplete, or of other weights or pictures than there are now."""
        for member in self.config.members:
            for fold, run in self.runs[member.name].items():
                data = self.opened.open(run.experiment.data)
                for split in splits:
                    facts = expected_metadata(run, split, data, self.tta(member), member.view, member.checkpoint)
                    self.sources(split, fold)[member.name][0].require_complete(facts)

    def require_same_data(self) -> None:
        """Raise FoldsegError that names the first run that was trained on other images or masks than there are now."""
        changes: dict[Path, list[str]] = {}
        different = {run.path: run for runs in self.runs.values() for run in runs.values()}
        for run in different.values():
            data = self.opened.open(run.experiment.data)
            run.check_folds(data)
            if changes_of_run := list_data_changes(run, run.experiment, data):
                changes[run.path] = changes_of_run
        if changes:
            path, first = next(iter(changes.items()))
            more = f" (and {len(changes) - 1} more runs of this ensemble)" if len(changes) > 1 else ""
            raise FoldsegError(
                f"{path}: was trained on something else than there is now: {'; '.join(first)}{more}. {CURE}"
            )


def find_members(config: Ensemble, opened: OpenedData | None = None) -> Members:
    """Open the runs of an ensemble. FoldsegError names runs that are missing, unfinished or do not fit together.

    `opened`: the data sets that the command has opened already.
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
                runs[member.name][fold] = _open_run(folder / f"fold_{fold}", member.checkpoint)
            except FoldsegError as error:
                problems.append(str(error))
    if problems:
        raise FoldsegError(f"{len(problems)} run(s) of the ensemble are not there:\n  " + "\n  ".join(problems))
    members = Members(config, runs, opened)
    _check_alike(members)
    _check_no_duplicates(members)
    return members


def _open_run(path: Path, checkpoint: str) -> RunFolder:
    """Open a finished run that may be blended. FoldsegError for a debug run, and for a checkpoint that it lacks."""
    run = RunFolder.open(path)
    if run.experiment.debug is not None:
        raise FoldsegError(f"{path}: is a debug run ({run.experiment.debug}), not to be blended")
    run.existing_checkpoint(checkpoint)
    return run


def blended_labels(config: Ensemble, run: RunFolder) -> LabelSet:
    """Return the classes that an ensemble blends: those that one of its runs has learned, or the scored ones."""
    if config.labels == "as_trained":
        return trained_labels(run)
    return get_label_set(run.experiment.data.model_copy(update={"labels": "scored"}))


def _merge_into(run: RunFolder, labels: LabelSet) -> NDArray[np.intp]:
    trained = trained_labels(run)
    try:
        into = trained.class_indices_in(labels)
    except FoldsegError as error:
        raise FoldsegError(f"{run.path}: its classes cannot be merged into the scored ones: {error}") from None
    if missing := [name for index, name in enumerate(labels.names) if index not in into]:
        raise FoldsegError(f"{run.path}: has not learned {', '.join(missing)}, which is blended")
    return into


def _check_no_duplicates(members: Members) -> None:
    """Raise FoldsegError if two members would read the same predictions, which would count twice."""
    member_of: dict[Path, str] = {}
    for name, (store, *_) in members.sources("oof", members.folds[0]).items():
        path = store.path.resolve()  # runs may have a second name, by a link
        if path in member_of:
            raise FoldsegError(f"members: {name} and {member_of[path]} are the same predictions, {store.path}")
        member_of[path] = name


def _check_alike(members: Members) -> None:
    """Raise FoldsegError unless all runs have the same data set and folds, and classes that can be blended.

    All folds of a member have the same classes. Members may differ in classes if these are merged into the scored ones.
    """
    first = members.first
    for runs in members.runs.values():
        reference = first if members.config.labels == "as_trained" else next(iter(runs.values()))
        for run in runs.values():
            if run.classes != reference.classes:
                is_same_member = reference.path.parent == run.path.parent
                cure = "" if is_same_member else " but with labels: scored, which merges them"
                raise FoldsegError(
                    f"{run.path}: predicts the classes {', '.join(run.classes)}, "
                    f"{reference.path} predicts {', '.join(reference.classes)}; they cannot be blended{cure}"
                )
            for key in ("dataset", "folds", "fold_splits"):
                value, of_first = getattr(run.experiment.data, key), getattr(first.experiment.data, key)
                if value != of_first:
                    raise FoldsegError(f"{run.path}: its data.{key} is {value}, that of {first.path} is {of_first}")
            if run.facts["data_fingerprint"] != first.facts["data_fingerprint"]:
                raise FoldsegError(f"{run.path}: was trained on other files or folds than {first.path}")
            _merge_into(run, members.labels)

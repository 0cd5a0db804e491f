"""The folder of one pass over images. If the pass is stopped, it goes on where it was.

    <name>-<fingerprint>/<id>.npz       what was counted and observed of an image, and a hash of its other files
    <name>-<fingerprint>/maps           an ordinary prediction store: probabilities for the next pass
    <name>-<fingerprint>/final          the predictions after all steps

The fingerprint is a hash of all that the pass depends on: settings, files, code. A pass of others has another folder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from foldseg.data.hashes import hash_code, hash_files
from foldseg.ensemble.final import FinalPredictions
from foldseg.ensemble.image import ImageTask
from foldseg.ensemble.line import Line
from foldseg.ensemble.passes import Pass, Tally, run_pass
from foldseg.ensemble.records import Arrays, Records
from foldseg.inference.store import PredictionStore, StoreMetadata
from foldseg.scoring.own_score import hash_own_score

_CODE = ("config", "data", "ensemble", "inference", "scoring")
"""Rooms whose code decides what a pass gives."""
_ALL_FOLDS = -1


@dataclass(frozen=True)
class PassFolder:
    """A pass, the images that it takes, and where it keeps what it makes of them."""

    plan: Pass
    tasks: Sequence[ImageTask]
    records: Records

    @staticmethod
    def open(
        parent: Path, name: str, plan: Pass, tasks: Sequence[ImageTask], keeps_masks: bool = False
    ) -> "PassFolder":
        """Open the folder of a pass below `parent`, and make it if it does not exist.

        keeps_masks: whether the final predictions have masks that may overlap.
        """
        records = Records.of(parent, name, _made_from(plan, tasks))
        if plan.range.keeps_maps:
            plan = replace(plan, kept=PredictionStore(records.folder / "maps"))
        if plan.range.end is None:
            plan = replace(plan, final=FinalPredictions(records.folder / "final", keeps_masks))
        return PassFolder(plan, tasks, records)

    @property
    def final(self) -> FinalPredictions:
        """The predictions after all steps, of a pass that takes them."""
        assert self.plan.final is not None
        return self.plan.final

    def run(self, workers: int, description: str) -> Iterator[Tally]:
        """Take the images that have not been taken yet; yield the tally of every image, in order.

        `description` names the progress bar.
        """
        if self.plan.kept is not None:
            self.plan.kept.begin(self.store_metadata())
        function, outputs_of = partial(_arrays_of_pass, self.plan), self.plan.outputs_of
        for arrays in self.records.process(function, self.tasks, outputs_of, workers, description):
            yield Tally.of(arrays)

    def store_metadata(self) -> StoreMetadata:
        """Return what `store.json` says of the maps that the pass keeps."""
        return StoreMetadata(
            run=str(self.records.folder),
            split=self.records.folder.name.partition("-")[0],
            fold=_ALL_FOLDS,
            classes=self.plan.spec.labels.names,
            checkpoint=self.records.fingerprint,
            view={},
            tta={},
            ids=[task.id for task in self.tasks],
            pictures=hash_files(task.image for task in self.tasks),
            code=hash_code(*_CODE),
        )


def _arrays_of_pass(plan: Pass, task: ImageTask) -> Arrays:
    return run_pass(plan, task).arrays()


def _made_from(plan: Pass, tasks: Sequence[ImageTask]) -> dict[str, Any]:
    """Return all that a pass depends on, in plain types."""
    spec, line = plan.spec, tasks[0].line
    stores = {store for task in tasks for member in task.members for store in member.stores}
    files = [path for task in tasks for path in (task.image, task.mask) if path is not None]
    params_of = {id(task.line): _digest_params(task.line) for task in tasks}
    images = []
    for task in tasks:
        paths = [str(store.path) for member in task.members for store in member.stores]
        images.append([task.id, paths, params_of[id(task.line)], task.is_observed])
    return {
        "code": hash_code(*_CODE),
        "files": hash_files(files),
        "labels": list(spec.labels.definition.items()),
        "stores": {
            str(store.path): store.metadata.checkpoint for store in sorted(stores, key=lambda store: store.path)
        },
        "images": images,
        "fitted_on_all": _digest_params(plan.fitted_on_all or Line()),
        "steps": [step.model_dump(mode="json", exclude_none=True) for step in line.steps],
        "left_out": sorted(line.left_out),
        "members": spec.members,
        "score": [spec.score, hash_own_score(spec.score)],
        "blend": spec.blend.model_dump(mode="json"),
        "weights": spec.weights,
        "max_bytes": plan.max_bytes,
        "range": [plan.range.start, plan.range.end, plan.range.keeps_maps],
        "source": None if plan.source is None else str(plan.source.path),
    }


def _digest_params(line: Line) -> str:
    digest = sha256()
    for params in line.params:
        for name, value in sorted((params or {}).items()):
            digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
        digest.update(b";")
    return digest.hexdigest()

"""Pseudo labels: what an ensemble is sure of on test images, to train on, fold by fold.

The labels that fold k may be trained on come from the models of fold k alone: they have not seen its validation images.
Labels of the whole ensemble would have, and the OOF score of whatever is trained on them could not be believed.

    OUT/fold_<k>/pseudo.json        written last: which runs, classes and confidence
    OUT/fold_<k>/<id>.png           class indices (H, W) uint8, void 255 where the models are unsure
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.counting import count_classes
from foldseg.data.hashes import hash_code, hash_files
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.blend import Probabilities, argmax
from foldseg.ensemble.image import Task, blended
from foldseg.ensemble.line import Line
from foldseg.ensemble.members import Members, find_members
from foldseg.ensemble.oof import rows_of, task_of
from foldseg.ensemble.parallel import processed
from foldseg.ensemble.steps import STEPS, require_packages
from foldseg.errors import FoldsegError
from foldseg.files import write_json
from foldseg.inference.predict import split_table
from foldseg.outputs import claim
from foldseg.submission.label_png import write_png

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"


@dataclass(frozen=True)
class PseudoTask:
    """One image: how it is blended, where its labels go, and the least probability of each class."""

    task: Task
    path: Path
    least: NDArray[np.float32]

    @property
    def id(self) -> str:
        """The image's id."""
        return self.task.id


def pseudo_labels(probabilities: Probabilities, least: NDArray[np.float32]) -> Mask:
    """Probabilities (classes, H, W) -> most probable class (H, W) uint8, void where it is below `least` (classes,)."""
    labels = argmax(probabilities)
    return np.where(probabilities.max(0) >= least[labels], labels, np.uint8(IGNORE_INDEX))


def write_pseudo_labels(
    config: Ensemble, folder: Path, confidence: float, per_class: Mapping[str, float] | None = None
) -> dict[int, dict[str, float]]:
    """Write pseudo labels of the test images for every fold; return fold -> share of pixels kept, per class.

    `confidence` is the least probability of a pixel that is kept, `per_class` other ones for some classes. Only those
    steps of the ensemble are taken that refine pseudo labels: a CRF. Predicts what is missing. FoldsegError for members
    that do not fit together and unknown classes.
    """
    refining = _refining(config)
    require_packages(refining)
    if fitted := [step.kind for step in refining if STEPS[type(step)].is_fitted(step)]:
        raise FoldsegError(
            f"steps.{fitted[0]}: pseudo labels want given values, not lists: what is fitted has seen all folds"
        )
    members = find_members(config)
    members.require_same_data()
    least = _least(members.labels, confidence, per_class or {})
    for fold in members.folds:
        claim(folder / f"fold_{fold}", "pseudo labels", lambda place: (place / DESCRIPTION).is_file())
    members.predict(("test",))
    return {fold: _write_fold(members, fold, folder / f"fold_{fold}", least) for fold in members.folds}


def _refining(config: Ensemble) -> list[Step]:
    """Return the steps that pseudo labels are made with."""
    return [step for step in config.steps if step.refines_pseudo_labels]


def _least(labels: LabelSet, confidence: float, per_class: Mapping[str, float]) -> NDArray[np.float32]:
    if unknown := set(per_class) - set(labels.names):
        raise FoldsegError(f"confidence: unknown classes {sorted(unknown)}; valid are {', '.join(labels.names)}")
    least = np.array([per_class.get(name, confidence) for name in labels.names], np.float32)
    if not ((least >= 0) & (least <= 1)).all():
        raise FoldsegError("confidence: should be probabilities, 0 to 1")
    return least


def _write_fold(members: Members, fold: int, folder: Path, least: NDArray[np.float32]) -> dict[str, float]:
    for stale in [folder / DESCRIPTION, *folder.glob("*.png")]:  # the first one's presence means complete
        stale.unlink(missing_ok=True)
    table, sources = split_table(members.first, "test", members.data), members.sources("test", fold)
    line = Line.of(_refining(members.config))
    tasks = [
        PseudoTask(replace(task_of(members, row, sources), line=line), folder / f"{row['id']}.png", least)
        for row in rows_of(table)
    ]
    done = processed(label_image, tasks, members.config.workers, f"labelling for fold {fold}")
    kept = np.sum(list(done), 0)
    weights = [(members.runs[member.name][fold], member.checkpoint) for member in members.config.members]
    write_json(
        folder / DESCRIPTION,
        {
            "fold": fold,
            "classes": members.labels.names,
            "data_fingerprint": members.first.facts["data_fingerprint"],
            "ids": table["id"].tolist(),
            "labels": members.labels.definition,
            "pictures": dict(zip(table["id"], hash_files(one.task.image for one in tasks), strict=True)),
            "code": hash_code("data", "scoring", "inference", "ensemble"),
            "least_probability": dict(zip(members.labels.names, least.round(6).tolist(), strict=True)),
            "runs": {str(run.checkpoint(name)): run.hash_of(name) for run, name in weights},
        },
    )
    logger.info("%s: %d images, %.1f%% of the pixels kept", folder, len(tasks), 100 * kept[:-1].sum() / kept.sum())
    return dict(zip([*members.labels.names, "void"], (kept / kept.sum()).tolist(), strict=True))


def label_image(todo: PseudoTask) -> NDArray[np.int64]:
    """Write one image's labels; return (classes + 1,) pixels of each class and of void."""
    labels = pseudo_labels(blended(todo.task), todo.least)
    write_png(todo.path, labels)
    return count_classes(labels, len(todo.least))

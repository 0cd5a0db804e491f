"""Pseudo labels: what an ensemble is sure of on test images, to train on, fold by fold.

The labels that fold k may be trained on come from the models of fold k alone: they have not seen its validation images.
Labels of the whole ensemble would have, and the OOF score of whatever is trained on them could not be believed.

    OUT/fold_<k>/pseudo.json        written last: which runs, classes and confidence
    OUT/fold_<k>/<id>.png           class indices (H, W) uint8, void 255 where the models are unsure
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.counting import count_classes
from foldseg.data.hashes import hash_code, hash_files
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.blend import Probabilities, argmax
from foldseg.ensemble.image import ImageTask, predict
from foldseg.ensemble.line import Line, is_fitted
from foldseg.ensemble.members import Members, find_members
from foldseg.ensemble.parallel import processed
from foldseg.ensemble.prediction import EnsembleSpec
from foldseg.ensemble.steps import require_packages
from foldseg.errors import FoldsegError
from foldseg.files import write_json
from foldseg.outputs import claim
from foldseg.submission.label_png import write_png

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"


@dataclass(frozen=True)
class PseudoTask:
    """One image: how it is blended, where its labels go, and the least probability of each class."""

    task: ImageTask
    spec: EnsembleSpec
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
    if fitted := [step.kind for step in refining if is_fitted(step)]:
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
    line = Line.of(_refining(members.config))
    tasks = [
        PseudoTask(task, members.spec, folder / f"{task.id}.png", least) for task in members.test_tasks(line, fold)
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
            "ids": [pseudo_task.id for pseudo_task in tasks],
            "labels": members.labels.definition,
            "pictures": _picture_hashes(tasks),
            "code": hash_code("data", "scoring", "inference", "ensemble"),
            "least_probability": dict(zip(members.labels.names, least.round(6).tolist(), strict=True)),
            "runs": {str(run.checkpoint(name)): run.hash_of(name) for run, name in weights},
        },
    )
    logger.info("%s: %d images, %.1f%% of the pixels kept", folder, len(tasks), 100 * kept[:-1].sum() / kept.sum())
    return dict(zip([*members.labels.names, "void"], (kept / kept.sum()).tolist(), strict=True))


def _picture_hashes(tasks: Sequence[PseudoTask]) -> dict[str, str]:
    """Return id -> SHA-256 of the picture."""
    hashes = hash_files(todo.task.image for todo in tasks)
    return {todo.id: found for todo, found in zip(tasks, hashes, strict=True)}


def label_image(todo: PseudoTask) -> NDArray[np.int64]:
    """Write one image's labels; return (classes + 1,) pixels of each class and of void."""
    prediction = predict(todo.task.context(todo.spec), todo.task.line)
    labels = pseudo_labels(prediction.as_probabilities(), todo.least)
    write_png(todo.path, labels)
    return count_classes(labels, len(todo.least))

"""Pseudo labels of test images, to train on: one folder per fold.

The labels that fold k may be trained on come from the models of fold k alone. They have not seen its validation images;
the whole ensemble has. The OOF score of a model that is trained on labels of the whole could not be believed.

    OUT/fold_<k>/<id>.png           class indices or class bits (H, W) uint8, void 255 where the models are unsure
    OUT/fold_<k>/pseudo.json        written last: runs, classes, confidence
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Step
from foldseg.data.hashes import hash_code, hash_files
from foldseg.data.labels import LabelSet
from foldseg.ensemble.confident import LabelingTask, label_image
from foldseg.ensemble.line import Line, is_fitted
from foldseg.ensemble.members import Members, find_members
from foldseg.ensemble.parallel import map_in_processes
from foldseg.ensemble.steps import require_packages
from foldseg.errors import FoldsegError
from foldseg.files import write_json
from foldseg.outputs import claim

logger = logging.getLogger(__name__)

DESCRIPTION = "pseudo.json"


def write_pseudo_labels(
    config: Ensemble, folder: Path, confidence: float, per_class: Mapping[str, float] | None = None
) -> dict[int, dict[str, float]]:
    """Write pseudo labels of the test images for every fold; return fold -> class or "void" -> share of pixels.

    A pixel is labelled if its class is at least as probable as `confidence`, or as `per_class` says for that class. Of
    the ensemble's steps, only those are taken that refine pseudo labels: a CRF. Test images that are not predicted yet
    are predicted. FoldsegError for members that do not fit together, and for unknown classes.
    """
    steps = [step for step in config.steps if step.refines_pseudo_labels]
    require_packages(steps)
    if fitted := [step.kind for step in steps if is_fitted(step)]:
        raise FoldsegError(
            f"steps.{fitted[0]}: pseudo labels want given values, not lists: what is fitted has seen all folds"
        )
    members = find_members(config)
    members.require_same_data()
    min_probability = _min_probability(members.labels, confidence, per_class or {})
    for fold in members.folds:
        claim(folder / f"fold_{fold}", "pseudo labels", lambda place: (place / DESCRIPTION).is_file())
    members.predict(("test",))
    shares = {}
    for fold in members.folds:
        shares[fold] = _write_fold(members, steps, fold, folder / f"fold_{fold}", min_probability)
    return shares


def _min_probability(labels: LabelSet, confidence: float, per_class: Mapping[str, float]) -> NDArray[np.float32]:
    if unknown := set(per_class) - set(labels.names):
        raise FoldsegError(f"confidence: unknown classes {sorted(unknown)}; valid are {', '.join(labels.names)}")
    min_probability = np.array([per_class.get(name, confidence) for name in labels.names], np.float32)
    if not ((min_probability >= 0) & (min_probability <= 1)).all():
        raise FoldsegError("confidence: should be probabilities, 0 to 1")
    return min_probability


def _write_fold(
    members: Members, steps: Sequence[Step], fold: int, folder: Path, min_probability: NDArray[np.float32]
) -> dict[str, float]:
    for stale in [folder / DESCRIPTION, *folder.glob("*.png")]:  # pseudo.json first: if it is there, all is there
        stale.unlink(missing_ok=True)
    tasks = members.test_tasks(Line.of(steps), fold)
    labelings = [LabelingTask(task, members.spec, folder / f"{task.id}.png", min_probability) for task in tasks]
    counts = map_in_processes(label_image, labelings, members.config.workers, f"labelling for fold {fold}")
    *pixels, total = np.sum(list(counts), 0).tolist()
    weights = [(members.runs[member.name][fold], member.checkpoint) for member in members.config.members]
    pictures = hash_files(task.image for task in tasks)
    write_json(
        folder / DESCRIPTION,
        {
            "fold": fold,
            "classes": members.labels.names,
            "data_fingerprint": members.first.facts["data_fingerprint"],
            "ids": [task.id for task in tasks],
            "labels": members.labels.definition,
            "pictures": {task.id: picture for task, picture in zip(tasks, pictures, strict=True)},
            "code": hash_code("data", "scoring", "inference", "ensemble"),
            "least_probability": dict(zip(members.labels.names, min_probability.round(6).tolist(), strict=True)),
            "runs": {str(run.checkpoint(name)): run.hash_of(name) for run, name in weights},
        },
    )
    percent = 100 * (1 - pixels[-1] / total)
    logger.info("%s: %d images, %.1f%% of the pixels kept", folder, len(tasks), percent)
    return {name: number / total for name, number in zip([*members.labels.names, "void"], pixels, strict=True)}

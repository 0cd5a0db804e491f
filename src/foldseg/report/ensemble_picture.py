"""One picture of an ensemble: the label maps of each member, of the blend, and of the final result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from foldseg.config import Ensemble
from foldseg.data.datasets import OpenedData
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.image import blend_members
from foldseg.ensemble.line import Line
from foldseg.ensemble.members import Members, find_members
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output
from foldseg.report.eda import select_spread
from foldseg.report.figures import Picture, draw_picture_grid, make_class_legend, save_png
from foldseg.report.oof_labels import OofLabels, open_oof
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.scoring.counts import TRUTH, Counts, count_prediction
from foldseg.scoring.scores import image_scores, score

_CANDIDATES = 200
"""The images to draw are chosen among so many, spread over strata."""
_ONE_ROW, _PER_ROW = 5, 4
"""Up to five pictures stay in one row. More are divided into rows of up to four."""


def write_ensemble_picture(ensemble: Ensemble, path: Path, image_id: str | None = None) -> None:
    """Write a PNG that shows the stages of an ensemble on one or two OOF images.

    Without `image_id` these are an image of median score and the one with most classes. Nothing is predicted: stores,
    label maps and scores are those that `foldseg ensemble` has written. FoldsegError if they are missing or were made
    with other settings.
    """
    folder = ensemble.submissions / ensemble.name
    check_output(path, ".png", [folder, ensemble.runs])
    _check_settings(ensemble, folder)
    opened = OpenedData()
    oof = open_oof(folder, opened)
    check_output(path, ".png", [oof.data.root])
    scores = SubmissionFolder(folder).read_scores()["oof"]
    ids = [image_id] if image_id is not None else choose_images(oof)
    save_png(draw_ensemble(find_members(ensemble, opened), oof, scores, ids), path, dpi=120)


def _check_settings(ensemble: Ensemble, folder: Path) -> None:
    """Raise FoldsegError unless a submission was made with these settings."""
    submission = SubmissionFolder(folder)
    if not submission.config.is_file():
        raise FoldsegError(f"{folder}: no such submission; make it with foldseg ensemble")
    ours, theirs = ensemble.model_dump(), submission.read_settings().model_dump()
    keys = ("members", "folds", "tta", "labels", "blend", "steps", "score")
    different = [key for key in keys if ours[key] != theirs[key]]
    if different:
        raise FoldsegError(
            f"{submission.config}: was made with other {', '.join(different)} than asked for; "
            "run foldseg ensemble again"
        )


def choose_images(oof: OofLabels) -> list[str]:
    """Return the ids of an image of median score and, if it is another one, of an image whose truth has most classes.

    Of several images with most classes it is again the one of median score, so that the picture is not better than the
    ensemble. They are chosen from at most 200 images, spread over strata.
    """
    part = oof.only(select_spread(oof.table, _CANDIDATES)["id"].tolist())
    counts = np.stack([count_prediction(truth, labels, oof.labels) for _, truth, labels in part])
    scores = np.nan_to_num(image_scores(counts, oof.labels))
    classes = (counts[..., TRUTH] > 0).sum(1)
    by_score = np.argsort(scores, kind="stable")
    richest = by_score[classes[by_score] == classes.max()]
    names = part.table["id"].tolist()
    return list(dict.fromkeys(names[order[len(order) // 2]] for order in (by_score, richest)))


def draw_ensemble(members: Members, oof: OofLabels, scores: Mapping[str, Any], ids: list[str]) -> Figure:
    """Draw for each image the frame, the truth, and the label maps of every member, of the blend and of the result.

    `scores`: the block `oof` of score.json. Titles give the score over all OOF images, notes that of the image.
    """
    rows: list[list[Picture | None]] = []
    masks: list[Mask] = []
    for name in ids:
        truth, results = oof.truth(name), read_stage_labels(members, oof, name, list(scores)[-1])
        masks += [truth, *results.values()]
        pictures: list[Picture | None] = [
            Picture(oof.image(name), f"OOF image\n{name}"),
            Picture(oof.labels.colourise(truth), "truth"),
        ]
        pictures += [_picture(members.config, oof.labels, truth, *item, scores) for item in results.items()]
        rows += _divide_into_rows(pictures)
    config = members.config
    title = f"{config.name}: {len(oof)} OOF images, {len(members.folds)} fold(s)"
    return draw_picture_grid(rows, make_class_legend(oof.labels, masks), title, width=3.3)


def _divide_into_rows(pictures: list[Picture | None]) -> list[list[Picture | None]]:
    """Divide pictures into rows of nearly equal length."""
    rows = 1 if len(pictures) <= _ONE_ROW else -(-len(pictures) // _PER_ROW)
    number = -(-len(pictures) // rows)
    return [pictures[start : start + number] for start in range(0, len(pictures), number)]


def read_stage_labels(members: Members, oof: OofLabels, name: str, final: str) -> dict[str, Mask]:
    """Return the class indices of every member, the blend and the final result: stage (see `ensemble/line.py`) -> mask.

    `final` is the name of the last stage, which is read as it was scored; stages between are not shown.
    """
    task = next(task for task in members.oof_tasks(Line()) if task.id == name)
    context = task.context(members.spec)
    of_members: list[Mask] = []
    blend = blend_members(context, of_members.append)
    results = dict(zip(members.spec.members, of_members, strict=True))
    results["blend"] = blend.labels
    results[final] = oof.prediction(name)
    return results


def _picture(
    config: Ensemble, labels: LabelSet, truth: Mask, stage: str, mask: Mask, scores: Mapping[str, Any]
) -> Picture:
    """Return the picture of a stage's label map, with its scores."""
    counts: Counts = count_prediction(truth, mask, labels)[None]
    value = score(config.score, counts, labels).value
    title = f"{stage}\nOOF {config.score} {scores[stage][config.score]:.4f}"
    return Picture(labels.colourise(mask), title, f"this image: {value:.4f}")

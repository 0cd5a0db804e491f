"""From members to a validated, scored submission."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foldseg.config import Ensemble, save
from foldseg.config.schema import Step
from foldseg.data.datasets import DATASETS, load_samples
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import image_size
from foldseg.data.runs import Runs
from foldseg.ensemble.crf import require_crf
from foldseg.ensemble.image import process, stages
from foldseg.ensemble.members import Members, find_members, oof_table
from foldseg.ensemble.oof import predict_oof, rows_of, task_of
from foldseg.ensemble.parallel import processed
from foldseg.ensemble.thresholds import Categories, Thresholds, possible_categories
from foldseg.errors import FoldsegError
from foldseg.files import locked, write_json
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import OF_SCORED_CLASSES, SCORES, bootstrap, check_score, interval, score
from foldseg.submission import ledger
from foldseg.submission.formats import FORMATS, check_submission
from foldseg.training.run import git_commit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleResult:
    """What an ensemble left on disk, and its scores: stage -> score -> value and interval (see score.json).

    `thresholds` says what they gained, if they were fitted (see `foldseg.ensemble.thresholds.threshold_report`).
    """

    folder: Path
    submission: Path
    scores: dict[str, Any]
    thresholds: Mapping[Categories, dict[str, Any]] | None


def predict_ensemble(config: Ensemble) -> EnsembleResult:
    """Blend, score on OOF, write and validate the test submission, append to the ledger.

    The test set's masks, where there are any, are counted while the submission is written: nothing depends on them.
    FoldsegError, among others, when another process writes the same submission.
    """
    with locked(config.submissions / config.name):
        return _predict(config)


def _predict(config: Ensemble) -> EnsembleResult:
    if any(step.crf for step in config.steps):
        require_crf()
    members = find_members(config)
    labels = members.labels
    _check_classes(config, labels, DATASETS[members.first.experiment.data.dataset].labels)
    oof, test = oof_table(members.first), _test_table(members)
    members.predict(("oof", "test"))
    folder = config.submissions / config.name
    (folder / "score.json").unlink(missing_ok=True)  # its presence means finished
    save(config, folder / "config.yaml")
    oof = oof[oof["fold"].isin(members.folds)]
    found = predict_oof(members, oof, folder)
    path = folder / FORMATS[config.submission].NAME
    test_counts = _write_submission(members, test, path, found.thresholds)
    scores = {"oof": _table(config, found.counts, labels, oof["group"].to_numpy())}
    if test_counts is not None:
        scores["test"] = _table(config, test_counts, labels, None)
    facts: dict[str, Any] = {"score": config.score, "images": len(oof), "folds": members.folds}
    if found.report is not None:
        facts["thresholds"] = found.report
    write_json(folder / "score.json", {**facts, **scores})
    _append_to_ledger(members, scores)
    return EnsembleResult(folder, path, scores, found.report)


def _check_classes(config: Ensemble, labels: LabelSet, contest: LabelSet) -> None:
    check_score(config.score, labels, "score")
    unlearned = [c.name for c in contest.classes if c.scored and c.name not in labels.names]
    if unlearned and config.score in OF_SCORED_CLASSES:
        logger.warning("%s is not the contest's: %s are scored there, too", config.score, ", ".join(unlearned))
    merged = [c for c in labels.classes if len(c.raw_ids) > 1]
    if config.submission == "label_png" and merged:
        raise FoldsegError(
            f"submission: label_png cannot say {merged[0].name}, which stands for {len(merged[0].raw_ids)} classes of "
            "the data set; blend runs of data.labels=all as_trained, or hand in signate_json"
        )
    if config.thresholds is not None:
        _check_thresholds(config, labels)
    for step in config.steps:
        unknown = set(step.clean_up.classes or ()) - set(labels.names) if step.clean_up else set()
        if unknown:
            raise FoldsegError(
                f"steps.clean_up.classes: unknown {sorted(unknown)}; valid are {', '.join(labels.names)}"
            )


def _check_thresholds(config: Ensemble, labels: LabelSet) -> None:
    assert config.thresholds is not None
    definition = SCORES[config.score]
    if definition.mean_iou_of is None or (definition.classes == "all" and not labels.scored.all()):
        raise FoldsegError(
            f"steps.thresholds fits the scored classes, and score {config.score} is not of those alone; "
            f"use {' or '.join(OF_SCORED_CLASSES)}"
        )
    if config.thresholds.categories not in possible_categories(labels):
        raise FoldsegError(
            "steps.thresholds.categories: exclusive gives pixels below the threshold to a class that is not scored, "
            f"and all of {', '.join(labels.names)} are scored"
        )
    for step in config.steps:
        classes = (step.clean_up.classes if step.clean_up else None) or ()
        rest = [c.name for c in labels.classes if c.name in classes and not c.scored]
        if rest and config.thresholds.categories == "overlapping":
            raise FoldsegError(
                f"steps.clean_up.classes: {', '.join(rest)} is not scored, and after overlapping thresholds there are "
                "only masks of scored classes"
            )


def _test_table(members: Members) -> pd.DataFrame:
    data = members.first.experiment.data
    table = load_samples(data)
    test = table[table["split"] == "test"].sort_values("id")
    if test.empty:
        raise FoldsegError(f"{data.root}: has no test images to hand in")
    return test


def _write_submission(members: Members, test: pd.DataFrame, path: Path, thresholds: Thresholds | None) -> Counts | None:
    """Write and validate the test submission; return counts (stages, images, classes, 3) if the truth is known."""
    config, sources = members.config, members.sources("test")
    tasks = [replace(task_of(members, row, sources), thresholds=thresholds) for row in rows_of(test)]
    counts: list[Counts] = []

    def results() -> Iterator[tuple[str, Mask | list[Runs]]]:
        for outcome in processed(process, tasks, config.workers, "blending test"):
            if outcome.counts is not None:
                counts.append(outcome.counts)
            yield outcome.id, outcome.labels if outcome.runs is None else outcome.runs

    FORMATS[config.submission].write(path, results(), members.labels)
    check_submission(path, {task.id: image_size(task.image) for task in tasks}, members.labels)
    logger.info("%s: %d images, read back and valid", path, len(tasks))
    return np.stack(counts, 1) if len(counts) == len(tasks) else None


def _table(config: Ensemble, counts: Counts, labels: LabelSet, groups: Any) -> dict[str, Any]:
    """Stage -> every score, the per-class values of the chosen one, and its 95% interval if groups are given."""
    table: dict[str, Any] = {}
    overlap = config.thresholds is not None and config.thresholds.categories == "overlapping"
    for stage, part in zip(stages([m.name for m in config.members], config.steps), counts, strict=True):
        # Masks that overlap are of the scored classes alone: there is no pixel accuracy, and no background
        only_scored = overlap and "thresholds" in stage.split(" + ")
        known = OF_SCORED_CLASSES if only_scored else tuple(SCORES)
        table[stage] = {name: score(name, part, labels).value for name in known}
        per_class = score(config.score, part, labels).per_class
        table[stage]["per_class"] = {c.name: per_class[c.name] for c in labels.classes if c.scored or not only_scored}
        if groups is not None and len(set(groups)) > 1:
            trials = bootstrap(config.score, part, labels, groups, config.bootstrap_samples)
            table[stage]["interval"] = interval(trials)
    return table


def _described(step: Step) -> str:
    return step.name if step.thresholds is None else f"{step.name}:{step.thresholds.categories}"


def _append_to_ledger(members: Members, scores: dict[str, Any]) -> None:
    config = members.config
    final = list(scores["oof"])[-1]
    oof, test = scores["oof"][final], scores.get("test", {}).get(final)
    low, high = oof.get("interval", (float("nan"), float("nan")))
    ledger.append(
        config.submissions / "ledger.csv",
        {
            "name": config.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": git_commit(),
            "members": " ".join(f"{m.name}*{m.weight:g}" for m in config.members),
            "folds": " ".join(map(str, members.folds)),
            "tta": " ".join(config.tta),
            "labels": config.labels,
            "steps": " ".join(_described(step) for step in config.steps),
            "score": config.score,
            "oof": f"{oof[config.score]:.6f}",
            "oof_low": "" if np.isnan(low) else f"{low:.6f}",
            "oof_high": "" if np.isnan(high) else f"{high:.6f}",
            "test": f"{test[config.score]:.6f}" if test else "",
        },
    )

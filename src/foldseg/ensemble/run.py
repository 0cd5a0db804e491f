"""From members to a validated, scored submission."""

import logging
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from foldseg.config import Ensemble, save
from foldseg.data.datasets import label_set, load_samples
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.reading import image_size
from foldseg.ensemble.crf import require_crf
from foldseg.ensemble.image import Outcome, Task, process, stages, start_worker
from foldseg.ensemble.members import Members, find_members, oof_table
from foldseg.errors import FoldsegError
from foldseg.files import write_json
from foldseg.scoring.counts import Counts
from foldseg.scoring.scores import SCORES, bootstrap, check_score, interval, score
from foldseg.submission import label_png, ledger
from foldseg.submission.formats import FORMATS, check_submission
from foldseg.training.run import git_commit

logger = logging.getLogger(__name__)

_WAITING = 4  # images per worker that are in flight: memory is theirs, however many images there are


@dataclass(frozen=True)
class EnsembleResult:
    """What an ensemble left on disk, and its scores: stage -> score -> value and interval (see score.json)."""

    folder: Path
    submission: Path
    scores: dict[str, Any]


def predict_ensemble(config: Ensemble) -> EnsembleResult:
    """Blend, score on OOF, write and validate the test submission, append to the ledger.

    The test set's masks, where there are any, are counted while the submission is written: nothing depends on them.
    """
    if any(step.crf for step in config.steps):
        require_crf()
    members = find_members(config)
    labels = label_set(members.first.experiment.data)
    _check_classes(config, labels)
    oof, test = oof_table(members.first), _test_table(members)
    members.predict(("oof", "test"))
    folder = config.submissions / config.name
    (folder / "score.json").unlink(missing_ok=True)  # its presence means finished
    save(config, folder / "config.yaml")
    oof = oof[oof["fold"].isin(members.folds)]
    oof_counts = _predict_oof(members, oof, labels, folder / "oof")
    path = folder / FORMATS[config.submission].NAME
    test_counts = _write_submission(members, test, labels, path)
    scores = {"oof": _table(config, oof_counts, labels, oof["group"].to_numpy())}
    if test_counts is not None:
        scores["test"] = _table(config, test_counts, labels, None)
    write_json(folder / "score.json", {"score": config.score, "images": len(oof), "folds": members.folds, **scores})
    _append_to_ledger(members, scores)
    return EnsembleResult(folder, path, scores)


def _check_classes(config: Ensemble, labels: LabelSet) -> None:
    check_score(config.score, labels, "score")
    merged = [c for c in labels.classes if len(c.raw_ids) > 1]
    if config.submission == "label_png" and merged:
        raise FoldsegError(
            f"submission: label_png cannot say {merged[0].name}, which stands for {len(merged[0].raw_ids)} classes of "
            "the data set; train on data.labels=all, or hand in signate_json"
        )
    for step in config.steps:
        unknown = set(step.clean_up.classes or ()) - set(labels.names) if step.clean_up else set()
        if unknown:
            raise FoldsegError(
                f"steps.clean_up.classes: unknown {sorted(unknown)}; valid are {', '.join(labels.names)}"
            )


def _predict_oof(members: Members, oof: pd.DataFrame, labels: LabelSet, folder: Path) -> Counts:
    """Write the blend's OOF label maps as PNGs into `folder`; return counts (stages, images, classes, 3)."""
    tasks = [
        _task(members, row, labels, members.sources("oof", int(str(row.fold)))) for row in oof.itertuples(index=False)
    ]
    counts: list[Counts] = []

    def label_maps() -> Iterator[tuple[str, Mask]]:
        for outcome in _processed(tasks, members.config.workers, "blending OOF"):
            assert outcome.counts is not None
            counts.append(outcome.counts)
            yield outcome.id, outcome.labels

    label_png.write(folder, label_maps(), labels)
    return np.stack(counts, 1)


def _test_table(members: Members) -> pd.DataFrame:
    data = members.first.experiment.data
    table = load_samples(data)
    test = table[table["split"] == "test"].sort_values("id")
    if test.empty:
        raise FoldsegError(f"{data.root}: has no test images to hand in")
    return test


def _write_submission(members: Members, test: pd.DataFrame, labels: LabelSet, path: Path) -> Counts | None:
    """Write and validate the test submission; return counts (stages, images, classes, 3) if the truth is known."""
    tasks = [_task(members, row, labels, members.sources("test")) for row in test.itertuples(index=False)]
    counts: list[Counts] = []

    def label_maps() -> Iterator[tuple[str, Mask]]:
        for outcome in _processed(tasks, members.config.workers, "blending test"):
            if outcome.counts is not None:
                counts.append(outcome.counts)
            yield outcome.id, outcome.labels

    FORMATS[members.config.submission].write(path, label_maps(), labels)
    check_submission(path, {task.id: image_size(task.image) for task in tasks}, labels)
    logger.info("%s: %d images, read back and valid", path, len(tasks))
    return np.stack(counts, 1) if len(counts) == len(tasks) else None


def _task(members: Members, row: Any, labels: LabelSet, sources: dict[str, Any]) -> Task:
    root = members.first.experiment.data.root
    weights = {member.experiment: member.weight for member in members.config.members}
    mask = root / row.mask if row.mask else None
    return Task(row.id, root / row.image, mask, sources, weights, members.config.steps, labels)


def _processed(tasks: Sequence[Task], workers: int, what: str) -> Iterator[Outcome]:
    """Process tasks side by side; outcomes in the order of tasks, only a few of them in memory."""
    with tqdm(total=len(tasks), desc=what, unit="image", leave=False, disable=None) as bar:
        for outcome in map(process, tasks) if workers == 1 else _side_by_side(tasks, workers):
            bar.update()
            yield outcome


def _side_by_side(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")  # torch's and OpenCV's threads do not survive a fork
    with ProcessPoolExecutor(workers, context, start_worker) as pool:
        todo = iter(tasks)
        running = deque(pool.submit(process, task) for task in islice(todo, _WAITING * workers))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(process, task) for task in islice(todo, 1))
        except BrokenProcessPool as error:
            raise FoldsegError(
                f"workers: one of the {workers} blending processes was killed, most often for want of memory; lower it"
            ) from error


def _table(config: Ensemble, counts: Counts, labels: LabelSet, groups: Any) -> dict[str, Any]:
    """Stage -> every score, the per-class values of the chosen one, and its 95% interval if groups are given."""
    table: dict[str, Any] = {}
    for stage, part in zip(stages([m.experiment for m in config.members], config.steps), counts, strict=True):
        chosen = score(config.score, part, labels)
        table[stage] = {name: score(name, part, labels).value for name in SCORES}
        table[stage]["per_class"] = chosen.per_class
        if groups is not None and len(set(groups)) > 1:
            trials = bootstrap(config.score, part, labels, groups, config.bootstrap_samples)
            table[stage]["interval"] = interval(trials)
    return table


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
            "members": " ".join(f"{m.experiment}*{m.weight:g}" for m in config.members),
            "folds": " ".join(map(str, members.folds)),
            "tta": " ".join(config.tta),
            "steps": " ".join(str(step.name) for step in config.steps),
            "score": config.score,
            "oof": f"{oof[config.score]:.6f}",
            "oof_low": "" if np.isnan(low) else f"{low:.6f}",
            "oof_high": "" if np.isnan(high) else f"{high:.6f}",
            "test": f"{test[config.score]:.6f}" if test else "",
        },
    )

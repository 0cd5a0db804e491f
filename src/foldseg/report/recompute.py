"""Checking the numbers of a run, an experiment or a submission: each is computed again from its predictions.

A `Statement` holds a number that a file states, and the same number computed again. To check a further stage of an
ensemble, count its images, score the counts with `StageScores.of`, and add `compare_stage` of that in
`_check_submission`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import ScoreName
from foldseg.data.datasets import OpenedData
from foldseg.data.labels import LabelSet
from foldseg.ensemble.fitted import read_left_out
from foldseg.ensemble.made_from import KEY, find_changes_since, hash_submission
from foldseg.errors import FoldsegError
from foldseg.files import read_record
from foldseg.inputs import is_absent, read_csv
from foldseg.report.oof_labels import OofLabels, open_oof
from foldseg.report.tables import format_interval, format_number, format_table
from foldseg.runs.kinds import open_runs, require_kind
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Resampled, warn_of_large_group
from foldseg.scoring.scores import SCORES, Score, bootstrap, bootstrap_classes, define_score, list_scores, score
from foldseg.submission.formats import FORMATS
from foldseg.submission.ledger import read_ledger
from foldseg.submission.submission_score import count_submission

EXACT = 1e-9
"""Tolerance for numbers that are stored in full."""
_LEDGER = 0.5e-6 + EXACT
"""Tolerance for the ledger, whose numbers have six decimals."""


@dataclass(frozen=True)
class Statement:
    """A number that a file states, and the same number computed again."""

    where: str
    """The file, and the place in it."""
    what: str
    """The name of the number."""
    stated: float
    recomputed: float
    tolerance: float | None
    """Largest difference that is no error; None if the two need not be equal."""

    @property
    def is_wrong(self) -> bool:
        """Whether the two differ by more than the tolerance. Two NaN are equal."""
        if self.tolerance is None or (math.isnan(self.stated) and math.isnan(self.recomputed)):
            return False
        return not abs(self.stated - self.recomputed) <= self.tolerance


@dataclass(frozen=True)
class RecomputedScores:
    """All scores of the OOF images of a source, beside the numbers that its files state."""

    oof: OofLabels
    scores: Mapping[ScoreName, Resampled]
    classes: Mapping[ScoreName, Mapping[str, Resampled]]
    """IoU of each class: over all images together, and as a mean over the images that have it."""
    statements: Sequence[Statement]
    remarks: Sequence[str]
    """What could not be recomputed, and why."""


def require_fresh(source: Path, opened: OpenedData) -> None:
    """Raise FoldsegError if the images, masks, weights or classes of a submission have changed since it was made."""
    changes = find_changes_since(source, opened) if SubmissionFolder(source).is_finished else []
    if changes:
        raise FoldsegError(
            f"{source}: is stale, what it was made from has changed since: {'; '.join(changes)}; run "
            "foldseg ensemble again"
        )


def require_equal(statements: Sequence[Statement]) -> None:
    """Raise FoldsegError that lists the numbers that differ, if there are any."""
    wrong = [s for s in statements if s.is_wrong]
    if wrong:
        lines = [f"{s.where}: {s.what} is {s.stated!r}, recomputed it is {s.recomputed!r}" for s in wrong]
        head = f"{len(wrong)} of {len(statements)} numbers differ from what is stored:"
        raise FoldsegError("\n  ".join([head, *lines]))


def recompute(source: Path, opened: OpenedData | None = None) -> RecomputedScores:
    """Score the OOF images of a source again (see `open_oof`), and compare the numbers that its files state.

    `opened`: the data sets that are open already.
    """
    oof = open_oof(source, opened)
    counts, groups = oof.counts(), oof.table["group"].to_numpy()
    warn_of_large_group(groups)
    submission = SubmissionFolder(source)
    if submission.is_finished:
        statements, remarks = _check_submission(submission, oof, counts)
    else:
        statements, remarks = _check_runs(source, oof, counts), []
    samples = oof.bootstrap_samples
    scores = {name: bootstrap(name, counts, oof.labels, groups, samples) for name in list_scores(oof.score)}
    kinds: tuple[ScoreName, ScoreName] = ("dataset_miou", "image_mean_iou_present")
    classes = {name: bootstrap_classes(name, counts, oof.labels, groups, samples) for name in kinds}
    return RecomputedScores(oof, scores, classes, statements, remarks)


def _check_runs(source: Path, oof: OofLabels, counts: Counts) -> list[Statement]:
    """Compare summary.json, and the best epoch's row of metrics.csv, of each run.

    They need not be equal, since validation is in floating point, and stores are quantised.
    """
    statements = []
    for run in open_runs(source):
        fold_counts = counts[(oof.table["fold"] == run.fold).to_numpy()]
        scores = {name: score(name, fold_counts, oof.labels).value for name in list_scores(oof.score)}
        summary = read_record(run.summary, {"monitor": str, "best": float | None, "best_epoch": int})
        where = f"fold {run.fold} summary.json"
        monitor = summary["monitor"]
        if monitor in scores:  # losses cannot be recomputed from label maps
            statements.append(Statement(where, monitor, summary["best"], scores[monitor], None))
        row = _read_epoch(run.metrics, summary["best_epoch"])
        where = f"fold {run.fold} metrics.csv"
        others = [name for name in SCORES if name != monitor and name in row]  # a run may be older than a score
        statements += [Statement(where, name, float(row[name] or math.nan), scores[name], None) for name in others]
    return statements


def _read_epoch(path: Path, epoch: int) -> "pd.Series[Any]":
    """Return the row of an epoch in metrics.csv. FoldsegError if there is none."""
    metrics = read_csv(path)
    try:
        return metrics[metrics["epoch"].astype("int64") == epoch].iloc[0]
    except (ValueError, KeyError, IndexError) as error:
        raise FoldsegError(f"{path}: should be a CSV with a row of the epoch {epoch} ({error})") from error


@dataclass(frozen=True)
class StageScores:
    """The scores of a stage of an ensemble, and the 95% interval of the one that it was made for."""

    scores: Mapping[ScoreName, Score]
    interval: tuple[float, float] | None = None

    @staticmethod
    def of(counts: Counts, labels: LabelSet, config: Ensemble, groups: NDArray[np.generic]) -> "StageScores":
        """Score counts (images, classes, 3) as the ensemble does."""
        interval = bootstrap(config.score, counts, labels, groups, config.bootstrap_samples).interval()
        return StageScores({name: score(name, counts, labels) for name in list_scores(config.score)}, interval)


def compare_stage(where: str, stated: Mapping[str, Any], recomputed: StageScores, name: ScoreName) -> list[Statement]:
    """Compare the block of a stage in score.json, `stated`, with scores that were computed again.

    Compared is what both have: every score, the interval of the score `name`, and its values per class.
    """
    scores = recomputed.scores
    pairs: list[tuple[str, Any, float]] = []
    for score_name, recomputed_score in scores.items():
        if score_name in stated:
            pairs.append((score_name, stated[score_name], recomputed_score.value))
    if recomputed.interval is not None and "interval" in stated:
        pairs += zip(("interval, low", "interval, high"), stated["interval"], recomputed.interval, strict=True)
    per_class = scores[name].per_class if name in scores else {}
    for class_name, value in stated["per_class"].items():
        if class_name in per_class:
            pairs.append((f"{define_score(name).class_value.name} of {class_name}", value, per_class[class_name]))
    return [Statement(where, what, math.nan if value is None else value, again, EXACT) for what, value, again in pairs]


def _check_submission(
    submission: SubmissionFolder, oof: OofLabels, counts: Counts
) -> tuple[list[Statement], list[str]]:
    """Compare the final stage in score.json, of OOF and test images, and the latest row of the ledger.

    Returns the statements, and remarks on what could not be recomputed.
    """
    folder, config, scores = submission.path, submission.read_settings(), submission.read_scores()
    _check_left_out(submission, scores)
    _check_file(folder / FORMATS[type(config.submission)].file_name, scores)
    final = list(scores["oof"])[-1]
    remarks: list[str] = []
    recomputed: dict[str, StageScores] = {}
    taken_steps = final.split(" + ")
    if not oof.labels.overlapping and any(step.may_overlap and step.kind in taken_steps for step in config.steps):
        remarks.append(
            "OOF label maps give every pixel one class, and this ensemble was scored with categories that overlap: "
            "its OOF scores cannot be recomputed from them"
        )
    else:
        recomputed["oof"] = StageScores.of(counts, oof.labels, config, oof.table["group"].to_numpy())
    if "test" in scores:
        data = oof.data if config.labels == "as_trained" else oof.data.with_labels("scored")
        counted = count_submission(folder / FORMATS[type(config.submission)].file_name, data)
        recomputed["test"] = StageScores(counted.compute_scores(config.score))
        missing = [name for name in SCORES if name not in recomputed["test"].scores]
        if missing:
            remarks.append(f"the submission holds the scored classes alone: no {', '.join(missing)} of test")
    statements: list[Statement] = []
    for part, stage_scores in recomputed.items():
        statements += compare_stage(f"score.json {part}, {final}", scores[part][final], stage_scores, config.score)
    ledger = read_ledger(folder.parent / "ledger.csv")
    rows = ledger[(ledger["name"] == folder.name) & (ledger["score"] == config.score)]
    if rows.empty:
        remarks.append(f"{folder.parent / 'ledger.csv'}: has no row of {folder.name} with {config.score}")
        return statements, remarks
    return statements + _check_ledger(rows.iloc[-1], recomputed, config.score), remarks


def _check_left_out(submission: SubmissionFolder, scores: Mapping[str, Any]) -> None:
    """Raise FoldsegError unless score.json, `scores`, and fitted.npz name the same steps as left out."""
    stated = sorted(step["place"] for step in scores.get("left_out", []))
    fitted = [place + 1 for place in read_left_out(submission.fitted)]
    if stated != fitted:
        raise FoldsegError(
            f"{submission.path}: score.json says that {_name_steps(stated)} left out, fitted.npz that "
            f"{_name_steps(fitted)}; they are not of one run of foldseg ensemble: run it again"
        )


def _check_file(path: Path, scores: Mapping[str, Any]) -> None:
    """Raise FoldsegError if the submission file is not the one that was written.

    An older score.json does not state its hash, and nothing is checked then.
    """
    stated = scores.get(KEY, {}).get("submission")
    if stated is not None and (is_absent(path) or hash_submission(path) != stated):
        raise FoldsegError(f"{path}: is not what foldseg ensemble wrote there; run it again")


def _name_steps(places: Sequence[int]) -> str:
    """Return `step 2 was`, `steps 2, 3 were` or `no step was`."""
    if not places:
        return "no step was"
    return f"step {places[0]} was" if len(places) == 1 else f"steps {', '.join(map(str, places))} were"


def _check_ledger(row: "pd.Series[str]", recomputed: Mapping[str, StageScores], name: ScoreName) -> list[Statement]:
    """Compare a row of the ledger. Empty cells are left out."""
    numbers = {part: scores.scores[name].value for part, scores in recomputed.items() if name in scores.scores}
    if "oof" in recomputed and recomputed["oof"].interval is not None:
        numbers["oof_low"], numbers["oof_high"] = recomputed["oof"].interval
    where = f"ledger.csv row {int(str(row.name)) + 1}"
    statements = []
    for key, value in numbers.items():
        if row[key]:
            stated = float(pd.to_numeric(row[key], errors="coerce"))
            statements.append(Statement(where, key, stated, value, _LEDGER))
    return statements


def recompute_ensemble(folder: Path, opened: OpenedData | None = None) -> Sequence[Statement]:
    """Return every number of a finished ensemble's score.json, beside the same number recomputed from its stores.

    The members are blended, and the steps fitted and scored again.

    FoldsegError if a store is missing, or is of other weights than its run has now.
    """
    from foldseg.ensemble.run import recompute_scores  # it imports torch

    require_kind(folder, SubmissionFolder)
    stated = _list_numbers(SubmissionFolder.open(folder).read_scores())
    recomputed = _list_numbers(recompute_scores(folder, opened))
    return [
        Statement("score.json", what, stated.get(what, math.nan), recomputed.get(what, math.nan), EXACT)
        for what in dict.fromkeys([*stated, *recomputed])
    ]


def _list_numbers(content: Any, path: str = "") -> dict[str, float]:
    """Return every number of nested mappings and lists, by its path, e.g. `oof, blend, interval[0]`."""
    if isinstance(content, str):
        return {}
    numbers: dict[str, float] = {}
    if isinstance(content, Mapping):
        for key, value in content.items():
            numbers |= _list_numbers(value, f"{path}, {key}" if path else str(key))
    elif isinstance(content, Sequence):
        for index, value in enumerate(content):
            numbers |= _list_numbers(value, f"{path}[{index}]")
    else:
        numbers[path] = math.nan if content is None else float(content)
    return numbers


def summarise_statements(statements: Sequence[Statement]) -> str:
    """Say in a line how many numbers were computed again, and the largest difference."""
    differences = [abs(s.recomputed - s.stated) for s in statements]
    largest = max((difference for difference in differences if not math.isnan(difference)), default=0)
    return f"{len(statements)} numbers recomputed from the stores; the largest difference is {largest:.1e}"


def format_recomputed(recomputed: RecomputedScores) -> str:
    """Return scores and classes with their intervals as text, then stated and recomputed numbers side by side."""
    oof = recomputed.oof
    head = f"{oof.name}: {len(oof)} OOF images in {oof.table['group'].nunique()} groups"
    scores = [[name, *_score_cells(resampled)] for name, resampled in recomputed.scores.items()]
    over_set, over_images = recomputed.classes["dataset_miou"], recomputed.classes["image_mean_iou_present"]
    classes = [[key, *_score_cells(over_set[key]), *_score_cells(over_images[key])] for key in over_set]
    header = ["class", "IoU over the set", "95% interval", "mean IoU over images", "95% interval"]
    blocks = [head, format_table(["score", "value", "95% interval"], scores), format_table(header, classes)]
    if recomputed.statements:
        rows = [
            [f"{s.where}: {s.what}", f"{s.stated:.9f}", f"{s.recomputed:.9f}", f"{s.recomputed - s.stated:+.1e}"]
            for s in recomputed.statements
        ]
        blocks.append(format_table(["number", "stated", "recomputed", "difference"], rows))
    return "\n\n".join([*blocks, *recomputed.remarks])


def _score_cells(resampled: Resampled) -> list[str]:
    """Return a score and its 95% interval."""
    return [format_number(resampled.value), format_interval(*resampled.interval())]

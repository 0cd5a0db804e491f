"""Every number of a run, an experiment or a submission once more, from what its images were predicted as.

A `Statement` is a number that a file states, beside the same number made anew. To check a further stage of an ensemble,
count its images, and add `stage_statements` of `Recounted.of` those counts to what `_of_submission` returns.
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
from foldseg.ensemble.made_from import KEY, changes_since, hash_of_submission
from foldseg.errors import FoldsegError
from foldseg.files import read_record
from foldseg.inputs import is_absent, read_csv
from foldseg.report.oof import OofLabels, open_oof
from foldseg.report.tables import between, number, text_table
from foldseg.runs.kinds import open_runs, require_kind
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Resampled, warn_of_large_group
from foldseg.scoring.scores import SCORES, Score, bootstrap, bootstrap_classes, score
from foldseg.submission.formats import FORMATS
from foldseg.submission.ledger import read_ledger
from foldseg.submission.submission_score import count_submission

EXACT = 1e-9
_LEDGER = 0.5e-6 + EXACT  # its numbers have six decimals


@dataclass(frozen=True)
class Statement:
    """A number that a file states, and what was found."""

    where: str
    what: str
    stated: float
    found: float
    tolerance: float | None  # None: the two need not be equal

    @property
    def wrong(self) -> bool:
        """Whether the two differ by more than they may; two NaN are equal."""
        if self.tolerance is None or (math.isnan(self.stated) and math.isnan(self.found)):
            return False
        return not abs(self.stated - self.found) <= self.tolerance


@dataclass(frozen=True)
class Recomputed:
    """All scores of the OOF images of a source, what its files state, and what of that could not be recomputed."""

    oof: OofLabels
    scores: Mapping[ScoreName, Resampled]
    classes: Mapping[ScoreName, Mapping[str, Resampled]]
    """IoU per class: over the set, and as a mean over the images that have it"""
    statements: Sequence[Statement]
    remarks: Sequence[str]


def require_fresh(source: Path, opened: OpenedData) -> None:
    """FoldsegError when a submission was made from other images, masks, weights or classes than there are now."""
    changes = changes_since(source, opened) if SubmissionFolder(source).is_finished else []
    if changes:
        raise FoldsegError(
            f"{source}: is stale, what it was made from has changed since: {'; '.join(changes)}; run "
            "foldseg ensemble again"
        )


def require_equal(statements: Sequence[Statement]) -> None:
    """FoldsegError that lists what differs."""
    wrong = [s for s in statements if s.wrong]
    if wrong:
        lines = [f"{s.where}: {s.what} is {s.stated!r}, recomputed it is {s.found!r}" for s in wrong]
        raise FoldsegError(
            f"{len(wrong)} of {len(statements)} numbers differ from what is stored:\n  " + "\n  ".join(lines)
        )


def recompute(source: Path, opened: OpenedData | None = None) -> Recomputed:
    """Count the OOF images of a source (see `open_oof`) anew and compare all that its files state.

    `opened`: the data sets that are open already.
    """
    oof = open_oof(source, opened)
    counts, groups = oof.counts(), oof.table["group"].to_numpy()
    warn_of_large_group(groups)
    submission = SubmissionFolder(source)
    if submission.is_finished:
        statements, remarks = _of_submission(submission, oof, counts)
    else:
        statements, remarks = _of_runs(source, oof, counts), []
    samples = oof.bootstrap_samples
    scores = {name: bootstrap(name, counts, oof.labels, groups, samples) for name in SCORES}
    kinds: tuple[ScoreName, ScoreName] = ("dataset_miou", "image_mean_iou_present")
    classes = {name: bootstrap_classes(name, counts, oof.labels, groups, samples) for name in kinds}
    return Recomputed(oof, scores, classes, statements, remarks)


def _of_runs(source: Path, oof: OofLabels, counts: Counts) -> list[Statement]:
    """Statements of summary.json and of the best epoch's row of metrics.csv, per fold.

    Validation is in floating point and stores are quantised, so they need not be equal.
    """
    statements = []
    for run in open_runs(source):
        part = counts[(oof.table["fold"] == run.fold).to_numpy()]
        found = {name: score(name, part, oof.labels).value for name in SCORES}
        summary = read_record(run.summary, {"monitor": str, "best": float | None, "best_epoch": int})
        where = f"fold {run.fold} summary.json"
        monitor = summary["monitor"]
        if monitor in found:  # losses cannot be recomputed from label maps
            statements.append(Statement(where, monitor, summary["best"], found[monitor], None))
        row = _row_of(run.metrics, summary["best_epoch"])
        where = f"fold {run.fold} metrics.csv"
        rest = [name for name in SCORES if name != monitor and name in row]  # a run may be older than a score
        statements += [Statement(where, name, float(row[name]), found[name], None) for name in rest]
    return statements


def _row_of(path: Path, epoch: int) -> "pd.Series[Any]":
    """Return the row of metrics.csv of an epoch. FoldsegError when there is none of it."""
    metrics = read_csv(path)
    try:
        return metrics[metrics["epoch"].astype("int64") == epoch].iloc[0]
    except (ValueError, KeyError, IndexError) as error:
        raise FoldsegError(f"{path}: should be a CSV with a row of the epoch {epoch} ({error})") from error


@dataclass(frozen=True)
class Recounted:
    """The scores of a stage of an ensemble, and the 95% interval of the one that it was made for."""

    scores: Mapping[ScoreName, Score]
    interval: tuple[float, float] | None = None

    @staticmethod
    def of(counts: Counts, labels: LabelSet, config: Ensemble, groups: NDArray[np.generic]) -> "Recounted":
        """Score counts (images, classes, 3), as `foldseg.ensemble.run` does."""
        ends = bootstrap(config.score, counts, labels, groups, config.bootstrap_samples).interval()
        return Recounted({name: score(name, counts, labels) for name in SCORES}, ends)


def stage_statements(where: str, stated: Mapping[str, Any], found: Recounted, name: ScoreName) -> list[Statement]:
    """Compare a block of score.json, of a stage, with what was recounted, as far as both have it.

    That is every score, the interval of the score `name`, and its values per class.
    """
    scores = found.scores
    pairs: list[tuple[str, Any, float]] = [(n, stated[n], s.value) for n, s in scores.items() if n in stated]
    if found.interval is not None and "interval" in stated:
        pairs += zip(("interval, low", "interval, high"), stated["interval"], found.interval, strict=True)
    per_class = scores[name].per_class if name in scores else {}
    pairs += [(f"{name} of {key}", v, per_class[key]) for key, v in stated["per_class"].items() if key in per_class]
    return [Statement(where, what, math.nan if v is None else v, own, EXACT) for what, v, own in pairs]


def _of_submission(submission: SubmissionFolder, oof: OofLabels, counts: Counts) -> tuple[list[Statement], list[str]]:
    """Statements of score.json's final stage, OOF and test, and of the ledger's latest row; and remarks."""
    folder, config, facts = submission.path, submission.read_settings(), submission.read_scores()
    _check_left_out(submission, facts)
    _check_submission(folder / FORMATS[config.submission].file_name, facts)
    final = list(facts["oof"])[-1]
    remarks: list[str] = []
    found: dict[str, Recounted] = {}
    taken = final.split(" + ")
    if any(step.may_overlap and step.kind in taken for step in config.steps):
        remarks.append(
            "OOF label maps give every pixel one class, and this ensemble was scored with categories that overlap: "
            "its OOF scores cannot be recomputed from them"
        )
    else:
        found["oof"] = Recounted.of(counts, oof.labels, config, oof.table["group"].to_numpy())
    if "test" in facts:
        found["test"] = _recounted_test(folder, config, oof)
        if unseen := [name for name in SCORES if name not in found["test"].scores]:
            remarks.append(f"the submission holds the scored classes alone: no {', '.join(unseen)} of test")
    statements = [
        one
        for part, recounted in found.items()
        for one in stage_statements(f"score.json {part}, {final}", facts[part][final], recounted, config.score)
    ]
    ledger = read_ledger(folder.parent / "ledger.csv")
    rows = ledger[(ledger["name"] == folder.name) & (ledger["score"] == config.score)]
    if rows.empty:
        remarks.append(f"{folder.parent / 'ledger.csv'}: has no row of {folder.name} with {config.score}")
        return statements, remarks
    return statements + _of_ledger(rows.iloc[-1], found, config.score), remarks


def _check_left_out(submission: SubmissionFolder, facts: Mapping[str, Any]) -> None:
    """FoldsegError unless score.json and fitted.npz name the same steps as left out."""
    stated = sorted(one["place"] for one in facts.get("left_out", []))
    found = [place + 1 for place in read_left_out(submission.fitted)]
    if stated != found:
        raise FoldsegError(
            f"{submission.path}: score.json says that {_named(stated)} left out, fitted.npz that {_named(found)}; "
            "they are not of one run of foldseg ensemble: run it again"
        )


def _check_submission(path: Path, facts: Mapping[str, Any]) -> None:
    """FoldsegError unless what is to be handed in is what was written; an older score.json does not say that."""
    stated = facts.get(KEY, {}).get("submission")
    if stated is not None and (is_absent(path) or hash_of_submission(path) != stated):
        raise FoldsegError(f"{path}: is not what foldseg ensemble wrote there; run it again")


def _named(places: Sequence[int]) -> str:
    if not places:
        return "no step was"
    return f"step {places[0]} was" if len(places) == 1 else f"steps {', '.join(map(str, places))} were"


def _recounted_test(folder: Path, config: Ensemble, oof: OofLabels) -> Recounted:
    data = oof.data if config.labels == "as_trained" else oof.data.with_labels("scored")
    return Recounted(count_submission(folder / FORMATS[config.submission].file_name, data).scores)


def _of_ledger(row: "pd.Series[str]", found: Mapping[str, Recounted], name: ScoreName) -> list[Statement]:
    """Compare a row of the ledger, as far as it is filled in."""
    numbers = {part: recounted.scores[name].value for part, recounted in found.items() if name in recounted.scores}
    if "oof" in found and found["oof"].interval is not None:
        numbers["oof_low"], numbers["oof_high"] = found["oof"].interval
    where = f"ledger.csv row {int(str(row.name)) + 1}"
    return [
        Statement(where, key, float(pd.to_numeric(row[key], errors="coerce")), own, _LEDGER)
        for key, own in numbers.items()
        if row[key]
    ]


def remake(folder: Path, opened: OpenedData | None = None) -> Sequence[Statement]:
    """Blend, fit and score a finished ensemble anew from its stores; compare every number of its score.json.

    FoldsegError when a store is missing, or is of other weights than its run has now.
    """
    from foldseg.ensemble.run import scores_again  # it brings torch along

    require_kind(folder, SubmissionFolder)
    stated, found = _numbers(SubmissionFolder.open(folder).read_scores()), _numbers(scores_again(folder, opened))
    return [
        Statement("score.json", what, stated.get(what, math.nan), found.get(what, math.nan), EXACT)
        for what in dict.fromkeys([*stated, *found])
    ]


def _numbers(content: Any, path: str = "") -> dict[str, float]:
    """Every number of nested mappings and lists, by its path."""
    if isinstance(content, Mapping):
        parts = [_numbers(value, f"{path}, {key}" if path else str(key)) for key, value in content.items()]
    elif isinstance(content, Sequence) and not isinstance(content, str):
        parts = [_numbers(value, f"{path}[{index}]") for index, value in enumerate(content)]
    else:
        return {} if isinstance(content, str) else {path: math.nan if content is None else float(content)}
    return {key: value for part in parts for key, value in part.items()}


def statements_text(statements: Sequence[Statement]) -> str:
    """Say in a line how well what is stated agrees with what was found."""
    known = [abs(s.found - s.stated) for s in statements if not math.isnan(s.found) and not math.isnan(s.stated)]
    return (
        f"{len(statements)} numbers made again from the stores; the largest difference is {max(known, default=0):.1e}"
    )


def recomputed_text(recomputed: Recomputed) -> str:
    """Scores and classes with their intervals, then stated and recomputed numbers side by side."""
    oof = recomputed.oof
    head = f"{oof.name}: {len(oof)} OOF images in {oof.table['group'].nunique()} groups"
    rows = [[name, number(found.value), between(*found.interval())] for name, found in recomputed.scores.items()]
    blocks = [head, text_table(["score", "value", "95% interval"], rows)]
    whole, image = recomputed.classes["dataset_miou"], recomputed.classes["image_mean_iou_present"]
    rows = [
        [key, *(cell for one in (whole[key], image[key]) for cell in (number(one.value), between(*one.interval())))]
        for key in whole
    ]
    header = ["class", "IoU over the set", "95% interval", "mean IoU over images", "95% interval"]
    blocks.append(text_table(header, rows))
    if recomputed.statements:
        rows = [
            [f"{s.where}: {s.what}", f"{s.stated:.9f}", f"{s.found:.9f}", f"{s.found - s.stated:+.1e}"]
            for s in recomputed.statements
        ]
        blocks.append(text_table(["stated", "there", "recomputed", "difference"], rows))
    return "\n\n".join([*blocks, *recomputed.remarks])

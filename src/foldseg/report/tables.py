"""Tables in plain text, for the terminal and the README."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foldseg.config.schema import ScoreName
from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.submission.submission_score import CountedSubmission

if TYPE_CHECKING:  # it would bring torch along, which a table has no need of
    from foldseg.ensemble.run import EnsembleResult


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: columns are aligned by spaces, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    lines = []
    for first, *others in [header, rule, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def format_number(value: float) -> str:
    """Return a number with four decimals, or a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.4f}"


def format_signed(value: float) -> str:
    """Return a number with four decimals and a sign, or a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:+.4f}"


def format_interval(low: float, high: float, form: Callable[[float], str] = format_number) -> str:
    """Return `low to high`, or a dash for NaN; `form` formats each end."""
    return "-" if np.isnan(low) else f"{form(low)} to {form(high)}"


def format_probability(value: float) -> str:
    """Return a probability with three decimals, or a dash for NaN.

    It is at least 0.001 and at most 0.999, since nothing is certain.
    """
    return "-" if np.isnan(value) else f"{min(max(value, 0.001), 0.999):.3f}"


def format_submission_scores(counted: CountedSubmission, chosen: ScoreName | None = None) -> str:
    """Return the scores of a submission as text: all scores, two IoUs per class, and which images were left out.

    `chosen`: the only score that is shown. The IoUs of a class are that over the whole set, and the mean over the
    images that have it. Scores have seven decimals, as many as leaderboards show. FoldsegError if the chosen score
    needs classes that the file does not hold.
    """
    scores = counted.scores if chosen is None else counted.compute_scores(chosen)
    if chosen is not None and chosen not in scores:
        raise FoldsegError(f"--score: {chosen} depends on all classes, and the file holds the scored ones alone")
    shown = scores if chosen is None else {chosen: scores[chosen]}
    overall = format_table(["score", "value"], [[name, f"{s.value:.7f}"] for name, s in shown.items()])
    over_set, over_images = scores["dataset_miou_scored"].per_class, scores["image_mean_iou_present"].per_class
    rows = [[name, format_number(over_set[name]), format_number(over_images[name])] for name in over_set]
    blocks = [overall, format_table(["class", "IoU over the set", "mean IoU over images"], rows)]
    left_out = counted.ids_without_scored_class
    missing = [name for name in counted.missing if name not in left_out]
    notes = {
        "are missing and score 0": missing,
        "have no scored class in their truth and are left out of image_mean_iou_present": left_out,
    }
    for note, ids in notes.items():
        if ids:
            blocks.append(f"{len(ids)} of {len(counted.ids)} image(s) {note}: {shorten(ids)}")
    return "\n\n".join(blocks)


def format_shares(shares: Mapping[int, Mapping[str, float]]) -> str:
    """Return a table of each class's share of the pixels per fold, in percent; `shares`: fold -> class -> share."""
    names = list(next(iter(shares.values())))
    rows = [[name, *(f"{100 * shares[fold][name]:.2f}%" for fold in shares)] for name in names]
    return format_table(["class", *(f"fold {fold}" for fold in shares)], rows)


def format_ensemble(result: "EnsembleResult") -> str:
    """Return the result of an ensemble as text: scores of members and stages, gains of steps, where the files are.

    Scores are those of OOF images, and those of test images if their truth is known.
    """
    scores = result.scores
    blocks = [_stage_table(scores)]
    if scores["steps"] or scores["left_out"]:
        blocks.append(_gain_table(scores["steps"], scores["left_out"]))
    if "members" in scores:
        blocks.append(_member_table(scores["members"]))
    blocks += [_threshold_table(facts["categories"]) for facts in scores["steps"].values() if "categories" in facts]
    files = [f"submission  {result.submission}", f"scores      {result.folder / 'score.json'}"]
    files += [f"OOF labels  {result.folder / 'oof'}", f"ledger      {result.folder.parent / 'ledger.csv'}"]
    return "\n\n".join([*blocks, "\n".join(files)])


def _stage_table(scores: Mapping[str, Any]) -> str:
    """Return a table of the score of each member and stage."""
    name = scores["score"]
    header = [name, "OOF", "95% interval"] + (["test"] if "test" in scores else [])
    rows = []
    for stage, values in scores["oof"].items():
        low, high = values.get("interval", (float("nan"), float("nan")))
        row = [stage, format_number(values[name]), format_interval(low, high)]
        rows.append(row + ([format_number(scores["test"][stage][name])] if "test" in scores else []))
    return format_table(header, rows)


def _gain_table(steps: Mapping[str, Any], left_out: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of what each step gained.

    The gain is measured on folds that the step was not fitted on. `same OOF` is the score where it was fitted.
    """
    rows = []
    for stage, step in steps.items():
        rows.append([stage.rpartition(" + ")[2], *_gain_cells(step), "forced" if "forced" in step else ""])
    for step in left_out:
        rows.append([step["step"], *_gain_cells(step), "left out"])
    return format_table(["step", "gain", "95% interval", "same OOF", ""], rows)


def _gain_cells(step: Mapping[str, Any]) -> list[str]:
    """Return the gain of a step, its interval, and the score where it was fitted."""
    same_oof = format_number(step["same_oof"]) if "same_oof" in step else ""
    return [*_difference_cells(step["gain"], *step["interval"]), same_oof]


def _member_table(members: Mapping[str, Any]) -> str:
    """Return a table of what the blend loses without each member, and the pixels on which two members agree."""
    rows = []
    for number, (name, removal) in enumerate(members["removing"].items(), 1):
        agreements = [f"{100 * share:.1f}%" for share in members["agreement"][name].values()]
        rows.append([f"{number} {name}", *_difference_cells(removal["loss"], *removal["interval"]), *agreements])
    others = [f"as {number}" for number in range(1, len(rows) + 1)]
    return format_table(["member", "worth", "95% interval", *others], rows)


def _difference_cells(value: float, low: float, high: float) -> tuple[str, str]:
    """Return a difference and its interval."""
    return f"{value:+.4f}", f"{low:+.4f} to {high:+.4f}"


def _threshold_table(thresholds: Mapping[Any, dict[str, Any]]) -> str:
    """Return a table of what thresholds gained, and of the thresholds.

    `same OOF` is the score where they were fitted, which is too good. `nested` is that on folds that they were not
    fitted on.
    """
    names = list(next(iter(thresholds.values()))["thresholds"])
    rows = []
    for categories, fit in thresholds.items():
        scores = [format_number(fit[key]) for key in ("argmax", "same_oof", "nested")]
        rows.append([categories, *scores, *(f"{fit['thresholds'][name]:.3f}" for name in names)])
    return format_table(["thresholds", "argmax", "same OOF", "nested", *names], rows)

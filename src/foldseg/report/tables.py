"""Tables in plain text, for the terminal and the README."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foldseg.data.samples import shorten
from foldseg.submission.submission_score import CountedSubmission

if TYPE_CHECKING:  # it would bring torch along, which a table has no need of
    from foldseg.ensemble.run import EnsembleResult


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Four decimals, or a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """Four decimals with a sign, or a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:+.4f}"


def between(low: float, high: float, form: Callable[[float], str] = number) -> str:
    """Return an interval, or a dash for NaN."""
    return "-" if np.isnan(low) else f"{form(low)} to {form(high)}"


def probability(value: float) -> str:
    """Three decimals, short of 0 and 1, which are never certain; a dash for NaN."""
    return "-" if np.isnan(value) else f"{min(max(value, 0.001), 0.999):.3f}"


def submission_report(counted: CountedSubmission) -> str:
    """Every score, IoU per class over the whole set and as a mean over the images that have it, and what was left out.

    Digits are enough for a leaderboard that shows seven.
    """
    scores = counted.scores
    overall = text_table(["score", "value"], [[name, f"{s.value:.7f}"] for name, s in scores.items()])
    whole, image = scores["dataset_miou_scored"].per_class, scores["image_mean_iou_present"].per_class
    rows = [[name, number(whole[name]), number(image[name])] for name in whole]
    blocks = [overall, text_table(["class", "IoU over the set", "mean IoU over images"], rows)]
    left_out = counted.ids_without_scored_class
    for ids, what in (
        ([name for name in counted.missing if name not in left_out], "are missing and score 0"),
        (left_out, "have no scored class in their truth and are left out of image_mean_iou_present"),
    ):
        if ids:
            blocks.append(f"{len(ids)} of {len(counted.ids)} image(s) {what}: {shorten(ids)}")
    return "\n\n".join(blocks)


def share_table(shares: Mapping[int, Mapping[str, float]]) -> str:
    """Fold -> share of pixels per class, in percent."""
    names = list(next(iter(shares.values())))
    rows = [[name, *(f"{100 * shares[fold][name]:.2f}%" for fold in shares)] for name in names]
    return text_table(["class", *(f"fold {fold}" for fold in shares)], rows)


def ensemble_table(result: "EnsembleResult") -> str:
    """Scores of members and stages on OOF (and test, if its truth is known), gains, and where the files are."""
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
    name = scores["score"]
    header = [name, "OOF", "95% interval"] + (["test"] if "test" in scores else [])
    rows = []
    for stage, values in scores["oof"].items():
        low, high = values.get("interval", (float("nan"), float("nan")))
        row = [stage, number(values[name]), between(low, high)]
        rows.append(row + ([number(scores["test"][stage][name])] if "test" in scores else []))
    return text_table(header, rows)


def _gain_table(steps: Mapping[str, Any], left_out: Sequence[Mapping[str, Any]]) -> str:
    """What each step gained on OOF, on folds that it was not fitted on; beside it the score where it was fitted."""
    taken = [
        (stage.rpartition(" + ")[2], facts, "forced" if "forced" in facts else "") for stage, facts in steps.items()
    ]
    rows = []
    for name, facts, note in [*taken, *((facts["step"], facts, "left out") for facts in left_out)]:
        same = number(facts["same_oof"]) if "same_oof" in facts else ""
        rows.append([name, *_signed(facts["gain"], *facts["interval"]), same, note])
    return text_table(["step", "gain", "95% interval", "same OOF", ""], rows)


def _member_table(members: Mapping[str, Any]) -> str:
    """What the blend loses without a member, and on what share of the pixels it agrees with each of the others."""
    rows = [
        [
            name,
            *_signed(facts["loss"], *facts["interval"]),
            *(f"{100 * v:.1f}%" for v in members["agreement"][name].values()),
        ]
        for name, facts in members["removing"].items()
    ]
    places = [str(index + 1) for index in range(len(rows))]
    named = [[f"{place} {row[0]}", *row[1:]] for place, row in zip(places, rows, strict=True)]
    return text_table(["member", "worth", "95% interval", *(f"as {place}" for place in places)], named)


def _signed(value: float, low: float, high: float) -> tuple[str, str]:
    return f"{value:+.4f}", f"{low:+.4f} to {high:+.4f}"


def _threshold_table(thresholds: Mapping[Any, dict[str, Any]]) -> str:
    """What thresholds gained: scored where they were fitted (too good), and on folds that they were not fitted on."""
    names = list(next(iter(thresholds.values()))["thresholds"])
    rows = [
        [
            categories,
            *(number(found[key]) for key in ("argmax", "same_oof", "nested")),
            *(f"{found['thresholds'][name]:.3f}" for name in names),
        ]
        for categories, found in thresholds.items()
    ]
    return text_table(["thresholds", "argmax", "same OOF", "nested", *names], rows)

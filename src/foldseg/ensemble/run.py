"""From members to a validated, scored submission."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from foldseg.config import Ensemble, save
from foldseg.config.schema import DatasetKind, Step, Table, Tta
from foldseg.config.schema.submissions import RunLength
from foldseg.data.datasets import OpenedData
from foldseg.data.labels import LabelSet, Mask
from foldseg.data.rle import Rle
from foldseg.ensemble.fitted import write_fitted_steps
from foldseg.ensemble.line import Line
from foldseg.ensemble.made_from import KEY, hash_ensemble_samples, made_from
from foldseg.ensemble.members import Members, find_members
from foldseg.ensemble.oof import predict_oof
from foldseg.ensemble.pass_folder import PassFolder
from foldseg.ensemble.passes import Pass
from foldseg.ensemble.steps import check_steps, require_packages
from foldseg.ensemble.tables import best_member, member_worth, stage_scores, step_gains, steps_left_out
from foldseg.errors import FoldsegError
from foldseg.files import locked, scratch, write_json
from foldseg.outputs import require_own
from foldseg.runs.kinds import may_hold_submission
from foldseg.runs.provenance import git_commit
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import warn_of_large_group
from foldseg.scoring.scores import SCORES, check_score, define_score
from foldseg.scoring.undefined_scores import check_defined
from foldseg.submission import ledger
from foldseg.submission.formats import FORMATS, check_classes, check_overlap, check_submission
from foldseg.submission.interface import KnownImages

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleResult:
    """What an ensemble left on disk, and the scores of its score.json."""

    folder: Path
    submission: Path
    """The file or folder to be handed in."""
    scores: Mapping[str, Any]
    """Keys:

    - "oof", and "test" if its truth is known: stage -> score -> value and interval
    - "steps": stage -> what the step gained
    - "left_out": the steps that are not taken, and why
    - "members": how they agree, what removing each of them costs, how the best one compares with the blend
    """


def predict_ensemble(config: Ensemble) -> EnsembleResult:
    """Blend, fit, score on OOF, write and validate the test submission, append to the ledger.

    A finished submission of that name stays whole until the new one is finished. An ensemble that was stopped goes on
    where it was. Masks of the test set, if there are any, are counted while the submission is written; nothing depends
    on them. FoldsegError, for example, if another process writes the same submission.
    """
    folder = config.submissions / config.name
    require_own(folder, "submission", may_hold_submission)
    ledger.read_ledger(config.submissions / "ledger.csv")  # an error about a damaged ledger comes before hours of work
    with locked(folder):
        return _predict(config)


def _predict(config: Ensemble) -> EnsembleResult:
    members = _find_checked_members(config)
    members.require_same_data()
    _warn_of_other_run_lengths(config, members.data.settings.dataset)
    members.predict(("oof", "test"))
    folder = config.submissions / config.name
    contents = hash_ensemble_samples(members.data, members.folds)
    submission = SubmissionFolder(folder)
    if submission.is_finished:
        _warn_of_other_settings(submission, config)
    else:
        save(config, submission.config)  # which says whose folder this is
    with scratch(folder / ".new") as new:
        scores, path = _blend_and_score(members, new, folder / "work")
        submission.scores.unlink(missing_ok=True)
        save(config, submission.config)
        contents.write(submission.sample_hashes)
        _move_into(folder, new)
    path = folder / path.name
    _remove_other_formats(folder, path)
    write_json(submission.scores, {**scores, KEY: made_from(members, submission.sample_hashes, path)})
    logger.info("%s: %d images, read back and valid", path, len(members.test))
    _append_to_ledger(members, scores)
    rmtree(folder / "work", ignore_errors=True)
    return EnsembleResult(folder, path, scores)


def _warn_of_other_settings(submission: SubmissionFolder, config: Ensemble) -> None:
    """Log that a finished submission is about to be replaced, if its settings differ or cannot be read."""
    try:
        before = submission.read_settings()
    except FoldsegError:  # written by an older version
        before = None
    if before != config:
        logger.warning(
            "%s: holds a submission that was made with other settings; it is replaced when this one is finished "
            "(name=... keeps both)",
            submission.path,
        )


def _move_into(folder: Path, new: Path) -> None:
    """Move all files and folders of `new` into `folder`. They replace those of the same names."""
    for item in new.iterdir():
        old = folder / item.name
        if old.is_dir():
            rmtree(old)
        item.replace(old)


def _remove_other_formats(folder: Path, path: Path) -> None:
    """Remove submissions in other formats than `path`, which an ensemble of other settings left in `folder`."""
    for other in {folder / entry.file_name for entry in FORMATS.values()} - {path}:
        if other.exists():
            logger.warning("%s: removed, an earlier submission in another format than %s", other, path.name)
            rmtree(other) if other.is_dir() else other.unlink()


def recompute_scores(folder: Path, opened: OpenedData | None = None) -> dict[str, Any]:
    """Compute a finished ensemble again from its stores, in a temporary folder; return what score.json should say.

    FoldsegError if a run or a store is missing, or is newer than the submission.
    """
    members = _find_checked_members(SubmissionFolder(folder).read_settings(), opened)
    members.require_stores(("oof", "test"))
    with scratch(folder / ".again") as temporary:
        return _blend_and_score(members, temporary, temporary / "work")[0]


def _find_checked_members(config: Ensemble, opened: OpenedData | None = None) -> Members:
    """Find the members. FoldsegError for any mistake that can be seen before something is predicted or blended."""
    require_packages(config.steps)
    try:
        members = find_members(config, opened)
    except FoldsegError:
        check_overlap(config.submission, config.may_overlap)  # a mistake in the settings is named before a missing run
        raise
    if not members.labels.overlapping:  # otherwise `_check_classes` compares the classes with the format
        check_overlap(config.submission, config.may_overlap)
    _check_classes(config, members.labels, members.data.all_labels)
    if members.test.empty:
        raise FoldsegError(f"{members.data.root}: has no test images to hand in")
    test_images = KnownImages({name: members.data.images[name] for name in members.test["id"]})
    FORMATS[type(config.submission)].check(config.submission, members.labels, test_images)
    where = f"fold {', '.join(map(str, members.folds))}"
    check_defined({"score": config.score}, list(SCORES), members.oof, members.data, members.labels, where)
    return members


def _blend_and_score(members: Members, folder: Path, work: Path) -> tuple[dict[str, Any], Path]:
    """Blend, fit and score; write label maps and the submission into `folder`.

    What is made of each image is kept in `work`, to go on there. Return the content of score.json, and the submission.
    """
    config = members.config
    scores, line = _score_oof(members, folder, work)
    write_fitted_steps(SubmissionFolder(folder).fitted, line)
    path = folder / FORMATS[type(config.submission)].file_name
    test_counts = _write_submission(members, path, line, work)
    if test_counts is not None:
        scores["test"] = stage_scores(config, line.taken, test_counts, members.labels, None)
    return scores, path


def _score_oof(members: Members, folder: Path, work: Path) -> tuple[dict[str, Any], Line]:
    """Take the OOF images through the ensemble. Return what score.json says of them, and the line for new images."""
    config, labels, groups = members.config, members.labels, members.oof["group"].to_numpy()
    warn_of_large_group(groups)
    oof = predict_oof(members, folder, work)
    scores: dict[str, Any] = {"score": config.score, "images": len(groups), "folds": members.folds}
    scores["oof"] = stage_scores(config, oof.line.taken, oof.counts, labels, groups)
    scores["steps"] = step_gains(oof)
    scores["left_out"] = steps_left_out(oof)
    if oof.disagreements:
        best = best_member(config, oof.counts, labels, groups)
        scores["members"] = {**member_worth(config, oof.disagreements, members.spec, groups), "best": best}
        _warn_of_best_member(best, len(config.members))
    return scores, oof.line


def _warn_of_best_member(best: Mapping[str, Any], members: int) -> None:
    """Log that a member alone scores more than the blend, if that is above noise."""
    low, high = best["interval"]
    if low > 0:
        logger.warning(
            "%s alone scores %+.4f more on OOF than the blend of all %d members (95%% interval %+.4f to %+.4f): "
            "leave the worst members out, or add the step weights",
            best["member"], best["gain"], members, low, high,
        )  # fmt: skip


def _check_classes(config: Ensemble, labels: LabelSet, contest: LabelSet) -> None:
    check_score(config.score, labels, "score")
    unlearned = [c.name for c in contest.classes if c.scored and c.name not in labels.names]
    if unlearned and define_score(config.score).classes == "scored":
        logger.warning("%s is not the contest's: %s are scored there, too", config.score, ", ".join(unlearned))
    if unknown := set(config.blend.union) - set(labels.names):
        raise FoldsegError(f"blend.union: unknown {sorted(unknown)}; valid are {', '.join(labels.names)}")
    if config.blend.union and labels.overlapping:
        raise FoldsegError("blend.union: is for classes of which each pixel has one, and these overlap; remove it")
    check_steps(config, labels)
    check_classes(config.submission, labels)


def _write_submission(members: Members, path: Path, line: Line, work: Path) -> Counts | None:
    """Write and validate the test submission; return counts (stages, images, classes, 3) if the truth is known."""
    config = members.config
    tasks = members.test_tasks(line)
    overlaps = any(step.may_overlap for step in line.taken) and not members.labels.overlapping
    folder = PassFolder.open(work, "test", Pass(members.spec), tasks, keeps_masks=overlaps)
    counts: list[Counts] = []

    def predictions() -> Iterator[tuple[str, Mask | list[Rle]]]:
        tallies = folder.run(config.workers, "blending test")
        for task, tally in zip(tasks, tallies, strict=True):
            if task.mask is not None:
                counts.append(tally.counts)
            yield task.id, folder.final.read(task.id)

    sizes = {task.id: members.data.size_of(task.id) for task in tasks}
    images = KnownImages({task.id: task.image for task in tasks}, sizes)
    settings = config.submission
    FORMATS[type(settings)].write(settings, path, predictions(), members.labels, images)
    check_submission(path, sizes, members.labels, settings, images)
    return np.stack(counts, 1) if len(counts) == len(tasks) else None


def _warn_of_other_run_lengths(config: Ensemble, dataset: DatasetKind) -> None:
    """Log that the submission counts pixels in another way than the data, which is rarely meant."""
    if not isinstance(config.submission, RunLength) or not isinstance(dataset, Table) or not dataset.draws_masks:
        return
    different = [
        f"{key} {getattr(config.submission, key)} ({getattr(dataset.run_lengths, key)} in the data)"
        for key in ("direction", "base", "relative")
        if getattr(config.submission, key) != getattr(dataset.run_lengths, key)
    ]
    if different:
        logger.warning("submission: run lengths are written with %s", ", ".join(different))


def _described(step: Step, is_left_out: bool) -> str:
    return f"{step.kind}:left_out" if is_left_out else step.summary


def _append_to_ledger(members: Members, scores: dict[str, Any]) -> None:
    config = members.config
    left_out = {one["place"] for one in scores["left_out"]}
    final = list(scores["oof"])[-1]
    oof, test = scores["oof"][final], scores.get("test", {}).get(final)
    low, high = oof.get("interval", (float("nan"), float("nan")))
    ledger.append_row(
        config.submissions / "ledger.csv",
        {
            "name": config.name,
            "data": members.data.root.resolve().name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": git_commit(),
            "members": " ".join(f"{m.name}*{m.weight:g}" for m in config.members),
            "folds": " ".join(map(str, members.folds)),
            "tta": "" if config.tta == Tta() else config.tta.slug,
            "labels": config.labels,
            "steps": " ".join(_described(step, place in left_out) for place, step in enumerate(config.steps, 1)),
            "score": config.score,
            "oof": f"{oof[config.score]:.6f}",
            "oof_low": "" if np.isnan(low) else f"{low:.6f}",
            "oof_high": "" if np.isnan(high) else f"{high:.6f}",
            "test": f"{test[config.score]:.6f}" if test else "",
        },
    )

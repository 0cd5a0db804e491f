"""What a submission was made from, and what has changed since.

score.json names the weights, the label set, the code and the data. data.csv beside it has the SHA-256 of every image
and mask: of the OOF images, and of the test images with their masks, if there are any.
"""

import hashlib
from pathlib import Path
from typing import Any

from foldseg.config import Ensemble
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.hashes import SampleHashes, format_count, hash_code, hash_file, hash_files
from foldseg.data.labels import describe_label_changes
from foldseg.ensemble.members import Members, blended_labels
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.runs.experiment_folder import ExperimentFolder
from foldseg.runs.provenance import git_commit
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.submission_folder import SubmissionFolder
from foldseg.scoring.own_score import hash_own_score

KEY = "made_from"
"""Name of this record in score.json."""
_CODE = ("config", "data", "ensemble", "inference", "scoring", "submission")


def hash_ensemble_samples(data: DataSet, folds: list[int]) -> SampleHashes:
    """Hash the images and masks of these folds and all test images."""
    oof = data.folded[data.folded["fold"].isin(folds)]
    return SampleHashes.of({"OOF": oof, "test": data.test.sort_values("id")}, data.root)


def made_from(members: Members, contents: Path, submission: Path) -> dict[str, Any]:
    """Return what score.json says of its origin, all of it text.

    contents: the data.csv that was written. submission: the file or folder to be handed in.
    """
    runs = [run for runs in members.runs.values() for run in runs.values()]
    accepted = {str(run.path): run.facts["accepted"][-1]["changes"] for run in runs if "accepted" in run.facts}
    return {
        "members": hash_checkpoints(members),
        **({"trained_on_other_data": accepted} if accepted else {}),
        "labels": members.labels.definition,
        "data": hash_file(contents),
        "submission": hash_submission(submission),
        "oof": hash_submission(SubmissionFolder(submission.parent).oof),
        "folds": members.first.facts["data_fingerprint"],
        "git_commit": git_commit(),
        "code": hash_code(*_CODE),
        "own_score": hash_own_score(members.config.score),
    }


def holds_other_label_maps(submission: SubmissionFolder) -> bool:
    """Whether the OOF label maps are others than were scored. False if an older submission has no record of them."""
    stated = submission.read_scores().get(KEY, {}).get("oof")
    return stated is not None and hash_submission(submission.oof) != stated


def hash_checkpoints(members: Members) -> dict[str, str]:
    """Return checkpoint, as a path below the folder of runs -> SHA-256 of its weights."""
    runs = [(run, member) for member in members.config.members for run in members.runs[member.name].values()]
    paths = [run.checkpoint(member.checkpoint) for run, member in runs]
    return {path.relative_to(members.config.runs).as_posix(): hash_file(path) for path in paths}


def hash_submission(path: Path) -> str:
    """Return the SHA-256 of a submission's file, or of the names and hashes of the files of a folder."""
    if not path.is_dir():
        return hash_file(path)
    files = sorted(file for pattern in ("*.png", "*.npy") for file in path.rglob(pattern))
    names = [file.relative_to(path).as_posix() for file in files]
    lines = [f"{name} {digest}\n" for name, digest in zip(names, hash_files(files), strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def find_changes_since(folder: Path, opened: OpenedData) -> list[str]:
    """Return which images, masks, weights and labels have changed since a submission was made. It names the first ones.

    FoldsegError if the data is missing, or the folds have changed. What an older submission has no record of is logged.
    """
    submission = SubmissionFolder(folder)
    config, scores = submission.read_settings(), submission.read_scores()
    if not submission.sample_hashes.is_file() or KEY not in scores:
        say_once(
            f"{folder}: what it was made from was not recorded (an older version); whether that has changed since "
            "cannot be told",
            kind="submission without contents",
        )
        return []
    recorded, run = scores[KEY], find_any_run(config)
    data = opened.open(run.experiment.data)
    run.check_folds(data)
    if recorded["code"] != hash_code(*_CODE):
        say_once(
            f"{folder}: was made by other code, of commit {recorded['git_commit']}", kind="submission of other code"
        )
    now = hash_ensemble_samples(data, scores["folds"])
    score_file = hash_own_score(config.score)
    labels = describe_label_changes(recorded["labels"], blended_labels(config, run).definition)
    return [
        *SampleHashes.read(submission.sample_hashes).changes(now),
        *find_changed_checkpoints(config, recorded["members"]),
        *(f"label set: {change}" for change in labels),
        *([f"the file of score {config.score}"] if score_file != recorded.get("own_score", "") else []),
    ]


def find_changed_checkpoints(config: Ensemble, recorded: dict[str, str]) -> list[str]:
    """Return a line that names the first checkpoint whose weights have changed since a submission was made, or nothing.

    recorded: checkpoint -> SHA-256 then. Checkpoints that are gone are passed over.
    """
    changed = []
    for name, digest in recorded.items():
        path = config.runs / name
        if path.is_file() and hash_file(path) != digest:
            changed.append(name)
    return [f"members: {format_count(changed, 'checkpoint')} ({changed[0]})"] if changed else []


def find_any_run(config: Ensemble) -> RunFolder:
    """Return a run of the first member, which names the data of the ensemble. FoldsegError if there is none."""
    experiment = ExperimentFolder(config.runs / config.members[0].experiment)
    runs = [run for run in experiment.runs.values() if run.config.is_file()]
    if not runs:
        raise FoldsegError(
            f"{experiment.path}: no such experiment; the ensemble {config.name} was blended "
            "from it, and it says which data that was"
        )
    return runs[0]

"""What a run was trained on, compared with what there is now.

`data.csv` in the run's folder has the SHA-256 of every image and mask; provenance.json has the label set. Training
writes both before the first batch.
"""

import logging
from collections.abc import Collection
from pathlib import Path

from foldseg.config import Experiment
from foldseg.data.datasets import DataSet, get_label_set
from foldseg.data.extra_images import has_folders, pair_source_files
from foldseg.data.hashes import WEIGHTS, SampleHashes
from foldseg.data.labels import describe_label_changes
from foldseg.errors import FoldsegError
from foldseg.notices import say_once
from foldseg.runs.run_folder import RunFolder, find_start

logger = logging.getLogger(__name__)

ACCEPT = "--accept-changed-data"
"""The option of foldseg train that keeps a run whose data has changed."""


CURE = (
    f"Train it anew (name=..., or remove the folder), or keep it: foldseg train CONFIG FOLD {ACCEPT}, "
    "which provenance.json will tell"
)


def list_data_changes(run: RunFolder, experiment: Experiment, data: DataSet) -> list[str]:
    """Say which images, masks and weights a run was trained on that are others now: `train: 1 mask (train_0001)`.

    `data` has been checked by `RunFolder.check_folds`.
    """
    if not run.sample_hashes.is_file():
        say_once(
            f"{run.path}: what its images and masks held when it was trained was not recorded (an older version); "
            "whether they have changed cannot be told, here and of other runs",
            kind="run without contents",
        )
        return []
    before = SampleHashes.read(run.sample_hashes)
    now = hash_training_data(experiment, run.fold, data, before.ids("train"), before.ids("validation"))
    return before.changes(now)


def warn_of_changes(run: RunFolder, data: DataSet) -> None:
    """Log what has changed since a run was trained. Its predictions are only scored or looked at, so it is no error."""
    for change in list_data_changes(run, run.experiment, data):
        logger.warning("%s: was trained on something else than there is now: %s", run.path, change)


def list_label_set_changes(run: RunFolder, experiment: Experiment) -> list[str]:
    """Say how the label set that a run was trained with differs from the one that its data set has now."""
    labels = get_label_set(experiment.data)
    if labels.names != run.classes:
        raise FoldsegError(
            f"{run.path}: was trained on the classes {', '.join(run.classes)}; {experiment.data.dataset.kind} has now "
            f"{', '.join(labels.names)}; train it anew (name=..., or remove the folder)"
        )
    before = run.facts.get("labels")
    if before is None:
        return []
    if not isinstance(before, dict):
        raise FoldsegError(f"{run.provenance}: is damaged: labels should be a mapping; found {before!r:.40}")
    return [f"label set: {change}" for change in describe_label_changes(before, labels.definition)]


def hash_training_data(
    experiment: Experiment, fold: int, data: DataSet, train: Collection[str], validation: Collection[str]
) -> SampleHashes:
    """Return the hashes of all that a run learns from. Sources and weights that do not exist any more are left out."""
    root, by_id = data.root, data.folded.set_index("id")
    rows: dict[tuple[str, str], tuple[Path | None, Path | None]] = {}
    for part, ids in (("train", train), ("validation", validation)):
        chosen = by_id.loc[list(dict.fromkeys(ids)), ["image", "mask"]]
        rows |= {(part, str(row.Index)): (root / str(row.image), root / str(row.mask)) for row in chosen.itertuples()}
    held_out = set(data.folded["id"]) - set(train)
    for number, source in enumerate(experiment.sampling.sources):
        for image, mask in pair_source_files(source, fold, held_out) if has_folders(source, fold) else []:
            rows[f"source {number}", image.stem] = image, mask
    rows |= {(f"{WEIGHTS} of {name}", path.name): (path, None) for name, path in _weights(experiment, fold).items()}
    return SampleHashes.of_files(rows)


def _weights(experiment: Experiment, fold: int) -> dict[str, Path]:
    """Return the files of weights that a run starts from or is taught by: setting -> file. Absent ones are left out."""
    model, weights = experiment.model, {}
    if model.start_from is not None:
        weights["model.start_from"] = find_start(model.start_from)
    elif model.encoder_weights not in (None, "imagenet"):
        weights["model.encoder_weights"] = Path(str(model.encoder_weights))
    for name in experiment.distillation.teachers if experiment.distillation else ():
        weights[f"teacher {name}"] = RunFolder(experiment.runs / name / f"fold_{fold}").best
    return {name: path for name, path in weights.items() if path.is_file()}

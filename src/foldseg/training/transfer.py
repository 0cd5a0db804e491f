"""Weights that leave a run: to start another from, or as a file of encoder weights."""

import logging
from pathlib import Path

import pandas as pd

from foldseg.config import Experiment
from foldseg.data.datasets import OpenedData
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output
from foldseg.runs.checkpoints import write_weights
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network

logger = logging.getLogger(__name__)

_ENCODER = "net.encoder."


def with_start_of_fold(experiment: Experiment, fold: int) -> Experiment:
    """Return the experiment with `model.start_from`, if that is an experiment's folder, as its run of this fold."""
    source = experiment.model.start_from
    if source is None or not (source / f"fold_{fold}").is_dir():
        return experiment
    model = experiment.model.model_copy(update={"start_from": source / f"fold_{fold}"})
    return experiment.model_copy(update={"model": model})


def check_start(experiment: Experiment, validation: pd.DataFrame, opened: OpenedData) -> None:
    """FoldsegError when what a run starts from was trained on images that it validates on: its scores would be lies.

    The run must be finished. One on another data set is no matter, but what it started from may be. Of a checkpoint
    outside of a run folder nothing is known; that is logged.
    """
    source = experiment.model.start_from
    while source is not None:
        run = _run_around(source)
        if run is None:
            logger.warning("model.start_from: %s: lies in no run folder; what it was trained on is not known", source)
            return
        RunFolder.open(run.path)
        data = run.experiment.data
        if data.dataset.kind == experiment.data.dataset.kind:
            folded = opened.open(data).folded
            seen = set(folded["id"][folded["fold"] != run.fold]) & set(validation["id"])
            if seen:
                raise FoldsegError(
                    f"model.start_from: {run.path} was trained on {len(seen)} of the {len(validation)} images that "
                    f"this run validates on, e.g. {min(seen)}; start from the same fold of the same division"
                )
        source = run.experiment.model.start_from


def _run_around(source: Path) -> RunFolder | None:
    """Return the run folder that a path is, or that a checkpoint lies in."""
    runs = (RunFolder(path) for path in (source, source.parent.parent))
    return next((run for run in runs if run.is_described), None)


def export_encoder(run: RunFolder, out: Path) -> None:
    """Write the weights of a run's best encoder, in smp's naming, for `model.encoder_weights`."""
    check_output(out, ".pth", [run.path])
    state = load_network(run).state_dict()
    encoder = {name.removeprefix(_ENCODER): value for name, value in state.items() if name.startswith(_ENCODER)}
    write_weights(out, encoder)
    logger.info("%s: %d tensors of %s from %s", out, len(encoder), run.experiment.model.encoder, run.best)

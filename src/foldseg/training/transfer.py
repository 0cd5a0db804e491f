"""Weights that leave a run: another run starts from them, or they become a file of encoder weights."""

import logging
from pathlib import Path

import pandas as pd

from foldseg.config import Experiment
from foldseg.config.schema import Data, Model, OwnData
from foldseg.data.datasets import OpenedData
from foldseg.errors import FoldsegError
from foldseg.outputs import check_output
from foldseg.runs.checkpoints import write_weights
from foldseg.runs.run_folder import RunFolder, find_start
from foldseg.runs.trained import load_network

logger = logging.getLogger(__name__)

_ENCODER_PREFIX = "net.encoder."


def resolve_start_fold(experiment: Experiment, fold: int) -> Experiment:
    """Return the experiment with `model.start_from`, if that is an experiment's folder, as its run of this fold."""
    source = experiment.model.start_from
    if source is None or not (source / f"fold_{fold}").is_dir():
        return experiment
    model = experiment.model.model_copy(update={"start_from": source / f"fold_{fold}"})
    return experiment.model_copy(update={"model": model})


def resolve_start_file(model: Model) -> Model:
    """Return the model with `start_from`, if that is a run's folder, as the file of its best checkpoint."""
    if model.start_from is None:
        return model
    return model.model_copy(update={"start_from": find_start(model.start_from)})


def _are_same_images(data: Data, other: Data) -> bool:
    """Whether ids mean the same images. Data that users describe is told apart by its folder."""
    if data.dataset.kind != other.dataset.kind:
        return False
    return not isinstance(data.dataset, OwnData) or data.root.resolve() == other.root.resolve()


def check_start_is_no_leak(experiment: Experiment, validation: pd.DataFrame, opened: OpenedData) -> None:
    """Raise FoldsegError if the weights that a run starts from were trained on images that it validates on.

    Its scores would be too high. The runs that it started from are checked one after the other, and must be finished. A
    run on another data set is no leak itself, but its own start may be one. Nothing is known of a checkpoint outside of
    a run's folder. That is logged.
    """
    source = experiment.model.start_from
    while source is not None:
        run = _find_run(source)
        if run is None:
            logger.warning("model.start_from: %s: lies in no run folder; what it was trained on is not known", source)
            return
        RunFolder.open(run.path)
        data = run.experiment.data
        if _are_same_images(data, experiment.data):
            table = opened.open(data).folded
            trained_on = set(table["id"][table["fold"] != run.fold])
            leaked = trained_on & set(validation["id"])
            if leaked:
                raise FoldsegError(
                    f"model.start_from: {run.path} was trained on {len(leaked)} of the {len(validation)} images that "
                    f"this run validates on, e.g. {min(leaked)}; start from the same fold of the same division"
                )
        source = run.experiment.model.start_from


def _find_run(source: Path) -> RunFolder | None:
    """Return the run whose folder or checkpoint a path is, if it is one."""
    for folder in (source, source.parent.parent):
        run = RunFolder(folder)
        if run.is_described:
            return run
    return None


def export_encoder(run: RunFolder, out: Path) -> None:
    """Write the encoder of a run's best checkpoint, with smp's names of tensors, for `model.encoder_weights`."""
    check_output(out, ".pth", [run.path])
    encoder = {}
    for name, value in load_network(run).state_dict().items():
        if name.startswith(_ENCODER_PREFIX):
            encoder[name.removeprefix(_ENCODER_PREFIX)] = value
    write_weights(out, encoder)
    logger.info("%s: %d tensors of %s from %s", out, len(encoder), run.experiment.model.encoder, run.best)

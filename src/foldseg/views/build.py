"""Builds the samples of an experiment from its settings and a fold's data."""

from pathlib import Path

import pandas as pd

from foldseg.config.schema import Experiment, Sampling
from foldseg.data.cache import CachedFrames, cache_frames
from foldseg.data.datasets import DataSet
from foldseg.data.extra_images import open_source_frames
from foldseg.data.fold_data import FoldData
from foldseg.data.frames import FileFrames, Frames, JoinedFrames
from foldseg.views.epoch_plan import EpochPlan
from foldseg.views.eval_samples import EvalSamples
from foldseg.views.mixing import Mixing
from foldseg.views.train_samples import TrainSamples


def build_train_samples(experiment: Experiment, fold_data: FoldData, stride: int) -> TrainSamples:
    """Return the samples that a fold is trained on: the fold's own frames, then those of the sources.

    Frames of sources that are held out are left out. FoldsegError if the sampling is not possible with this data.
    """
    data, fold, labels = fold_data.data, fold_data.fold, fold_data.labels
    own_frames = table_frames(fold_data.train, data, experiment.cache)
    sources = []
    for source in experiment.sampling.sources:
        files = open_source_frames(source, fold, labels, fold_data.held_out, data.fingerprint, data.pictures)
        sources.append(cache_frames(files, experiment.cache) if experiment.cache else files)
    frames = JoinedFrames((own_frames, *sources)) if sources else own_frames
    is_plain = experiment.sampling == Sampling()
    is_mixed = experiment.cut_mix is not None or experiment.copy_paste is not None
    plan = mixing = None
    if not is_plain or is_mixed:
        pixels, sizes = own_frames.count_class_pixels(), [len(source.ids) for source in sources]
        epochs, names = experiment.schedule.epochs, labels.names
        if not is_plain:
            plan = EpochPlan(experiment.sampling, names, pixels, sizes, epochs, experiment.seed)
        if is_mixed:
            mixing = Mixing(experiment.cut_mix, experiment.copy_paste, frames, names, pixels, labels)
    view = experiment.view.train
    channels = data.pictures.channels
    return TrainSamples(frames, view, experiment.augment, stride, experiment.seed, plan, mixing, labels, channels)


def build_validation_samples(experiment: Experiment, fold_data: FoldData, stride: int) -> EvalSamples:
    """Return the samples that a fold is validated on."""
    frames = table_frames(fold_data.validation, fold_data.data, experiment.cache)
    return EvalSamples(frames, experiment.view.predict, stride)


def table_frames(table: pd.DataFrame, data: DataSet, cache: Path | None) -> Frames:
    """Return the frames of `table`, which has rows of `data.folded`.

    `cache`: a folder for the decoded frames of all folds; None: files are decoded whenever they are read.
    """
    if cache is None:
        return FileFrames.of(table, data.root, data.labels, pictures=data.pictures)
    everything = cache_frames(FileFrames.of(data.folded, data.root, data.labels, pictures=data.pictures), cache)
    return CachedFrames(everything.home, table["id"].tolist())

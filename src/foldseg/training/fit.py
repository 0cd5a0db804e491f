"""Trains one fold, from its configuration to its best checkpoint."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.strategies import DDPStrategy

from foldseg.config import Experiment
from foldseg.config.schema.definitions import PRECISIONS
from foldseg.config.unused import describe_unused_settings
from foldseg.data.datasets import DataSet, OpenedData
from foldseg.data.fold_data import FoldData
from foldseg.data.hashes import hash_code
from foldseg.data.image_statistics import Statistics, measure_statistics
from foldseg.data.samples import check_mask_values
from foldseg.files import locked, remove_partials, write_json
from foldseg.inputs import is_absent
from foldseg.models.device import check_device
from foldseg.models.factory import build_network, check_model, check_norm, check_view
from foldseg.outputs import require_own
from foldseg.runs.kinds import may_hold_run
from foldseg.runs.run_folder import RunFolder
from foldseg.scoring.scores import check_score
from foldseg.training.averaging import EmaWeights, SwaWeights
from foldseg.training.checks import check_same, require_same_contents, save_free_settings
from foldseg.training.debug import apply_debug_mode
from foldseg.training.devices import SameBuffers, get_rank, launch
from foldseg.training.distillation import build_distiller
from foldseg.training.finish import finish_averages
from foldseg.training.input_sizes import check_inputs
from foldseg.training.memory import choose_device_to_fill, explain_memory_errors, find_batch_size
from foldseg.training.module import FoldModule
from foldseg.training.open_fold import check_masks, compute_class_weights, open_fold
from foldseg.training.recorder import Recorder
from foldseg.training.resuming import check_checkpoints
from foldseg.training.schedules import check_watched_metric
from foldseg.training.sessions import TRAINING_CODE, begin_session, describe_run, write_sample_hashes
from foldseg.training.stages import Loaders, list_stage_settings
from foldseg.training.stopping import build_early_stopping, find_stop_reason
from foldseg.training.transfer import check_start_is_no_leak, resolve_start_file, resolve_start_fold
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.epoch_plan import SINGLE_PROCESS, TrainingProcess

logger = logging.getLogger(__name__)


def train_fold(
    experiment: Experiment, fold: int, opened: OpenedData | None = None, *, accept_changed_data: bool = False
) -> RunFolder:
    """Train a fold and return its run folder. `opened`: the data sets that are open already.

    A finished run of the same configuration is returned as it is. A run that was killed goes on after its last
    finished epoch. Its weights are the same in the end as if it had not been killed. FoldsegError in these cases:

    - The folder holds a run of another configuration, or another process is using it.
    - Images, masks or the label set have changed since the run was trained, and `accept_changed_data` is false.
    - Anything else is wrong that can be known before the first batch.
    """
    check_device(experiment.device, experiment.precision)
    for line in describe_unused_settings(experiment):
        logger.warning(line)
    check_norm(experiment.model.norm, experiment.device, experiment.devices)
    experiment = resolve_start_fold(experiment, fold)
    check_model(resolve_start_file(experiment.model))
    experiment = apply_debug_mode(experiment)
    run = RunFolder.of(experiment, fold)
    require_own(run.path, "run", may_hold_run)
    with locked(run.path), explain_memory_errors(experiment):
        return _prepare_and_train(run, experiment, fold, opened or OpenedData(), accept_changed_data)


def _prepare_and_train(
    run: RunFolder, experiment: Experiment, fold: int, opened: OpenedData, accept_changed_data: bool
) -> RunFolder:
    """Train a run that is locked by this process: check it, begin or resume it, and return it when it is finished."""
    data = opened.open(experiment.data)
    if run.config.is_file():
        if experiment.batch_size == "auto":
            experiment = experiment.model_copy(update={"batch_size": run.experiment.batch_size})
        check_same(run, experiment)
        if run.summary.is_file() or run.last.is_file():
            run.check_folds(data)
            require_same_contents(run, experiment, data, accept=accept_changed_data)
        run = save_free_settings(run, experiment)
        if run.summary.is_file():
            logger.info("%s: is finished already%s", run.path, _describe_other_code(run))
            return run
    fold_data = _open_checked_fold(experiment, fold, data, opened)
    resume = not is_absent(run.last)
    for folder in (run.path, run.last.parent):
        remove_partials(folder)
    if experiment.batch_size == "auto":
        experiment = _resolve_batch_size(experiment, fold_data)
    statistics = None if resume else _find_statistics(experiment, fold_data)
    module = _build_module(experiment, fold_data, resume, statistics)
    check_inputs(module.network, experiment, fold_data)
    if resume:
        check_checkpoints(run, module)
    else:
        describe_run(run, experiment, fold, data.labels.names, data, statistics)
        write_sample_hashes(run, experiment, fold_data)
    begin_session(run)
    if experiment.devices > 1:
        launch(experiment.devices, _train_in_process, run.path, fold_data, resume)
    else:
        _train_to_end(run, module, fold_data, resume)
    return run


def _open_checked_fold(experiment: Experiment, fold: int, data: DataSet, opened: OpenedData) -> FoldData:
    """Return what a fold is trained and validated on. FoldsegError if training with it cannot work or would leak."""
    fold_data = open_fold(experiment, fold, data)
    check_score(experiment.score, data.labels, "monitor")
    check_watched_metric(experiment, data.labels)
    if experiment.cache is None:  # a cache is built before the first epoch, and then reads all masks
        masks = pd.concat([fold_data.train, fold_data.validation])
        check_mask_values(masks, data.root, data.labels, data.pictures)
    check_masks(experiment, fold_data)
    check_start_is_no_leak(experiment, fold_data.validation, opened)
    return fold_data


def _describe_other_code(run: RunFolder) -> str:
    """Return a note if a finished run was trained by another version of foldseg's code; otherwise an empty text."""
    sessions = run.facts.get("sessions", [])
    last = sessions[-1] if sessions else {}
    if last.get("code", "") in ("", hash_code(*TRAINING_CODE)):
        return ""
    return f" (trained by other code, of commit {last['git_commit'] or 'unknown'})"


def _resolve_batch_size(experiment: Experiment, fold_data: FoldData) -> Experiment:
    """Return the experiment with the largest batch size that fits instead of `auto`."""
    device = choose_device_to_fill(experiment)
    channels = fold_data.data.pictures.channels
    network = build_network(experiment.model, len(fold_data.labels), channels=channels, pretrained=False)
    samples = build_train_samples(list_stage_settings(experiment)[0], fold_data, network.stride)
    return experiment.model_copy(update={"batch_size": find_batch_size(experiment, network, samples, device)})


def _find_statistics(experiment: Experiment, fold_data: FoldData) -> Statistics | None:
    """Return the statistics of the fold's training images; None if the encoder's own are taken."""
    data = fold_data.data
    if data.pictures.channels == 3 and experiment.model.normalise == "imagenet":
        return None
    images = fold_data.train["image"].unique()
    return measure_statistics([data.root / str(image) for image in images], data.pictures)


def _build_module(
    experiment: Experiment, fold_data: FoldData, resume: bool, statistics: Statistics | None
) -> FoldModule:
    """Build what is trained. `statistics`: those of the images; a checkpoint has them, so None to resume."""
    pl.seed_everything(experiment.seed, verbose=False)  # every fold starts from the same weights
    model = resolve_start_file(experiment.model)
    channels = fold_data.data.pictures.channels
    network = build_network(
        model, len(fold_data.labels), channels=channels, statistics=statistics, pretrained=not resume
    )
    check_view(experiment.view.predict, network.stride)
    return FoldModule(experiment, fold_data.labels, network, compute_class_weights(experiment, fold_data))


def _train_in_process(path: Path, fold_data: FoldData, resume: bool) -> None:
    """Do the work of one of several processes that train a run together."""
    run = RunFolder(path)
    with explain_memory_errors(run.experiment):
        module = _build_module(run.experiment, fold_data, resume, run.statistics)
        _train_to_end(run, module, fold_data, resume)


def _train_to_end(run: RunFolder, module: FoldModule, fold_data: FoldData, resume: bool) -> None:
    """Train until the schedule ends or the monitored number gets no better, then write summary.json."""
    config, stride = module.experiment, module.network.stride
    stages = [build_train_samples(stage, fold_data, stride) for stage in list_stage_settings(config)]
    process = TrainingProcess(get_rank(), config.devices) if config.devices > 1 else SINGLE_PROCESS
    loaders = Loaders(config, stages, build_validation_samples(config, fold_data, stride), process)
    module.stage_steps = loaders.steps
    module.distiller = build_distiller(config, fold_data, module.network)
    ema = EmaWeights(config.ema) if config.ema else None
    swa = SwaWeights(config.swa, config.schedule.epochs) if config.swa else None
    recorder = Recorder(run, config, ema)
    callbacks = [ema, swa, recorder, build_early_stopping(config)]
    trainer = build_trainer(config, [callback for callback in callbacks if callback is not None])
    arrange_network(module)
    if resume:
        logger.info("%s: goes on from %s", run.path, run.last.name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*|.*number of training batches.*")
        warnings.filterwarnings("ignore", ".*overridden `transfer_batch_to_device`.*|.*sync_dist=True.*")
        warnings.filterwarnings("ignore", ".*Trying to infer the `batch_size`.*|.*LeafSpec.*")
        try:
            trainer.fit(
                module,
                datamodule=loaders,
                ckpt_path=run.last if resume else None,
                weights_only=True if resume else None,
            )
            averages = finish_averages(run, trainer, module, loaders, recorder, ema, swa)
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl+C into a silent exit
                raise KeyboardInterrupt from None
            raise
    if trainer.is_global_zero:
        # A process that was killed after its last checkpoint may not have done these two
        recorder.remove_surpassed_checkpoints()
        recorder.write_metrics()
        write_json(run.summary, {**_summarise(config, fold_data, recorder), "averages": averages})


def _summarise(config: Experiment, fold_data: FoldData, recorder: Recorder) -> dict[str, Any]:
    """Return the content of summary.json but for the averages."""
    best = recorder.best_row
    summary: dict[str, Any] = {"debug": config.debug} if config.debug else {}
    summary |= {
        "best_epoch": best["epoch"],
        "monitor": config.monitor,
        "best": best[config.monitor],
        "epochs": len(recorder.rows),
        "stopped": find_stop_reason(config, recorder.rows).text(config.monitor),
        "train_images": fold_data.train["id"].nunique(),
        "validation_images": len(fold_data.validation),
        "seconds": round(sum(row["seconds"] for row in recorder.rows), 1),
    }
    if config.top_k:
        summary["top_epochs"] = recorder.top_epochs
    return summary


def arrange_network(module: FoldModule) -> None:
    """Arrange a network's weights in memory, and compile it, as its experiment says."""
    network, config = module.network, module.experiment
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
    if config.compile:  # methods are compiled, not the network, so that its weights keep their names
        for method in ("forward", "outputs"):
            setattr(network, method, torch.compile(getattr(network, method)))


def build_trainer(config: Experiment, callbacks: list[Callback]) -> pl.Trainer:
    """Build Lightning's trainer for an experiment. Only `callbacks` log and save."""
    shows_progress = sys.stderr.isatty() and get_rank() == 0
    if config.devices > 1:
        callbacks = [*callbacks, SameBuffers()]
    if shows_progress:
        callbacks = [*callbacks, TQDMProgressBar(leave=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Trainer(
            accelerator=config.device,
            devices=config.devices,
            # Not every encoder uses all of its layers
            strategy=DDPStrategy(find_unused_parameters=True) if config.devices > 1 else "auto",
            precision=PRECISIONS[config.precision].lightning_name,
            max_epochs=config.schedule.epochs,
            check_val_every_n_epoch=config.validate_every,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip_gradient_norm,
            callbacks=callbacks,
            enable_progress_bar=shows_progress,
            enable_model_summary=False,
            logger=False,
            num_sanity_val_steps=1,  # a validation that cannot work should fail before the first epoch, not after it
            use_distributed_sampler=False,  # our own samplers divide batches among processes
            reload_dataloaders_every_n_epochs=1 if config.stages else 0,
        )

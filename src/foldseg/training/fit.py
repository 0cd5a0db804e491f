"""Training one fold, from its configuration to its best checkpoint."""

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
from foldseg.config.unused import describe_unused_settings
from foldseg.data.datasets import OpenedData
from foldseg.data.fold_data import FoldData
from foldseg.data.hashes import hash_code
from foldseg.data.samples import check_mask_values
from foldseg.files import locked, remove_partials, write_json
from foldseg.inputs import is_absent
from foldseg.models.device import TRAINING_PRECISIONS, check_device
from foldseg.models.factory import build_network, check_model, check_norm, check_view
from foldseg.outputs import require_own
from foldseg.runs.kinds import may_hold_run
from foldseg.runs.run_folder import RunFolder
from foldseg.scoring.scores import check_score
from foldseg.training.averaging import EmaWeights, SwaWeights
from foldseg.training.checks import check_same, require_same_contents, take_over
from foldseg.training.data import check_masks, class_weights, open_fold
from foldseg.training.debug import debug_settings
from foldseg.training.devices import SameBuffers, launch, rank
from foldseg.training.distillation import build_distiller
from foldseg.training.finish import finish_averages
from foldseg.training.inputs import check_inputs
from foldseg.training.memory import device_to_fill, explained_memory, find_batch_size
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder
from foldseg.training.resuming import check_checkpoints
from foldseg.training.schedules import check_watched
from foldseg.training.sessions import TRAINING_CODE, begin_session, describe_run, write_contents
from foldseg.training.stages import Loaders, stage_settings
from foldseg.training.stopping import build_early_stopping, stop_reason
from foldseg.training.transfer import check_start, with_start_of_fold
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.epoch_plan import WHOLE, Part

logger = logging.getLogger(__name__)


def train_fold(
    experiment: Experiment, fold: int, opened: OpenedData | None = None, *, accept_changed_data: bool = False
) -> RunFolder:
    """Train a fold and return its run folder. `opened`: the data sets that are open already.

    A finished run of the same configuration is returned as it is; one that was killed goes on after its last
    finished epoch, to the same weights as if it had not been. FoldsegError when the folder holds another
    configuration's run or is another process's, when it was trained on images, masks or a label set that have changed
    (unless that is accepted), and on everything that can be known to be wrong before the first batch.
    """
    check_device(experiment.device, experiment.precision)
    for line in describe_unused_settings(experiment):
        logger.warning(line)
    check_norm(experiment.model.norm, experiment.device, experiment.devices)
    experiment = with_start_of_fold(experiment, fold)
    check_model(experiment.model)
    experiment = debug_settings(experiment)
    run = RunFolder.of(experiment, fold)
    require_own(run.path, "run", may_hold_run)
    with locked(run.path), explained_memory(experiment):
        return _train(run, experiment, fold, opened or OpenedData(), accept_changed_data)


def _train(
    run: RunFolder, experiment: Experiment, fold: int, opened: OpenedData, accept_changed_data: bool
) -> RunFolder:
    data = opened.open(experiment.data)
    if run.config.is_file():
        if experiment.batch_size == "auto":
            experiment = experiment.model_copy(update={"batch_size": run.experiment.batch_size})
        check_same(run, experiment)
        if run.summary.is_file() or run.last.is_file():
            run.check_folds(data)
            require_same_contents(run, experiment, data, accept=accept_changed_data)
        run = take_over(run, experiment)
        if run.summary.is_file():
            logger.info("%s: is finished already%s", run.path, _by_other_code(run))
            return run
    fold_data = open_fold(experiment, fold, data)
    check_score(experiment.score, data.labels, "monitor")
    check_watched(experiment, data.labels)
    if experiment.cache is None:  # which is built before the first epoch, and reads all masks
        masks = pd.concat([fold_data.train, fold_data.validation])
        check_mask_values(masks, data.root, data.labels, data.pictures)
    check_masks(experiment, fold_data)
    check_start(experiment, fold_data.validation, opened)
    resume = not is_absent(run.last)  # whatever else has its name is an error
    for folder in (run.path, run.last.parent):
        remove_partials(folder)
    if experiment.batch_size == "auto":
        experiment = _with_batch_size(experiment, fold_data)
    module = _module(experiment, fold_data, resume)
    check_inputs(module.network, experiment, fold_data)
    if resume:
        check_checkpoints(run, module)
    else:
        describe_run(run, experiment, fold, data.labels.names, data)
        write_contents(run, experiment, fold_data)
    begin_session(run)
    if experiment.devices > 1:
        launch(experiment.devices, _fit_in_process, run.path, fold_data, resume)
    else:
        _fit(run, module, fold_data, resume)
    return run


def _by_other_code(run: RunFolder) -> str:
    session = [{}, *run.facts.get("sessions", [])][-1]
    is_other = session.get("code", "") not in ("", hash_code(*TRAINING_CODE))
    return f" (trained by other code, of commit {session['git_commit'] or 'unknown'})" if is_other else ""


def _with_batch_size(experiment: Experiment, fold_data: FoldData) -> Experiment:
    device = device_to_fill(experiment)
    network = build_network(experiment.model, len(fold_data.labels), pretrained=False)
    samples = build_train_samples(stage_settings(experiment)[0], fold_data, network.stride)
    return experiment.model_copy(update={"batch_size": find_batch_size(experiment, network, samples, device)})


def _module(experiment: Experiment, fold_data: FoldData, resume: bool) -> FoldModule:
    pl.seed_everything(experiment.seed, verbose=False)  # every fold starts from the same weights
    network = build_network(experiment.model, len(fold_data.labels), pretrained=not resume)
    check_view(experiment.view.predict, network.stride)
    return FoldModule(experiment, fold_data.labels, network, class_weights(experiment, fold_data))


def _fit_in_process(path: Path, fold_data: FoldData, resume: bool) -> None:
    """Be one of the processes that train a run together."""
    run = RunFolder(path)
    with explained_memory(run.experiment):
        _fit(run, _module(run.experiment, fold_data, resume), fold_data, resume)


def _fit(run: RunFolder, module: FoldModule, fold_data: FoldData, resume: bool) -> None:
    """Train until the schedule ends or what is monitored gets no better; write summary.json."""
    config, stride = module.experiment, module.network.stride
    stages = [build_train_samples(stage, fold_data, stride) for stage in stage_settings(config)]
    part = Part(rank(), config.devices) if config.devices > 1 else WHOLE
    loaders = Loaders(config, stages, build_validation_samples(config, fold_data, stride), part)
    module.stage_steps = loaders.steps
    module.distiller = build_distiller(config, fold_data, module.network)
    ema = EmaWeights(config.ema) if config.ema else None
    swa = SwaWeights(config.swa, config.schedule.epochs) if config.swa else None
    recorder, stopper = Recorder(run, config, ema), build_early_stopping(config)
    trainer = build_trainer(config, [callback for callback in (ema, swa, recorder, stopper) if callback is not None])
    lay_out(module)
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
        recorder.remove_surpassed()  # a process that was killed after its last checkpoint may not have come to it,
        recorder.write_metrics()  # and may have left the metrics one row behind
        write_json(run.summary, {**_summary(config, fold_data, recorder), "averages": averages})


def _summary(config: Experiment, fold_data: FoldData, recorder: Recorder) -> dict[str, Any]:
    best = recorder.best
    return {
        **({"debug": config.debug} if config.debug else {}),
        "best_epoch": best["epoch"],
        "monitor": config.monitor,
        "best": best[config.monitor],
        "epochs": len(recorder.rows),
        "stopped": stop_reason(config, recorder.rows).text(config.monitor),
        "train_images": fold_data.train["id"].nunique(),
        "validation_images": len(fold_data.validation),
        "seconds": round(sum(row["seconds"] for row in recorder.rows), 1),
        **({"top_epochs": recorder.top} if config.top_k else {}),
    }


def lay_out(module: FoldModule) -> None:
    """Put a module's weights into the order that its experiment asks for, and compile its network if it does."""
    network, config = module.network, module.experiment
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
    if config.compile:  # what the network computes, not the network: its weights keep their names
        for method in ("forward", "outputs"):
            setattr(network, method, torch.compile(getattr(network, method)))


def build_trainer(config: Experiment, callbacks: list[Callback]) -> pl.Trainer:
    """Build what leads a module through an experiment's epochs; nothing is logged or saved but by `callbacks`."""
    bar = sys.stderr.isatty() and rank() == 0
    if config.devices > 1:
        callbacks = [*callbacks, SameBuffers()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Trainer(
            accelerator=config.device,
            devices=config.devices,
            # Not every encoder uses all of its layers; sizes are divided by our own samplers
            strategy=DDPStrategy(find_unused_parameters=True) if config.devices > 1 else "auto",
            precision=TRAINING_PRECISIONS[config.precision],
            max_epochs=config.schedule.epochs,
            check_val_every_n_epoch=config.validate_every,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip_gradient_norm,
            callbacks=[*callbacks, *([TQDMProgressBar(leave=False)] if bar else [])],
            enable_progress_bar=bar,
            enable_model_summary=False,
            logger=False,
            num_sanity_val_steps=1,  # a validation that cannot work should fail before the first epoch, not after it
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1 if config.stages else 0,
        )

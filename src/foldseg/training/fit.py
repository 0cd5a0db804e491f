"""Training one fold, from its configuration to its best checkpoint."""

import logging
import sys
import warnings
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, TQDMProgressBar
from torch import Tensor

from foldseg.config import Experiment
from foldseg.data.datasets import folded_samples, label_set, load_samples
from foldseg.data.labels import LabelSet
from foldseg.data.samples import check_files, count_mask_pixels
from foldseg.errors import FoldsegError
from foldseg.files import remove_partials, write_json
from foldseg.losses import inverse_log_weights
from foldseg.models.factory import build_network, check_device, check_model, check_view
from foldseg.scoring.scores import check_score
from foldseg.training.checks import check_same
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder
from foldseg.training.run import RunFolder
from foldseg.views.samples import EvalSamples, TrainSamples, eval_loader, train_loader

logger = logging.getLogger(__name__)

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@dataclass(frozen=True)
class FoldData:
    """The tables of one fold: all images with their `fold`, what is trained on and what is validated on."""

    labels: LabelSet
    all: pd.DataFrame
    train: pd.DataFrame
    validation: pd.DataFrame


def fold_data(experiment: Experiment, fold: int) -> FoldData:
    """Read, check and divide the data of a fold. FoldsegError on anything that training would stumble over."""
    data = experiment.data
    table = folded_samples(data)
    if fold not in set(table["fold"]):
        raise FoldsegError(f"fold {fold}: {data.folds} has the folds 0 to {table['fold'].max()}")
    check_files(load_samples(data), data.root)  # test images too: they are predicted after the GPU hours
    train, wanted = table[table["fold"] != fold], experiment.train_images
    if wanted is not None:
        if wanted > len(train):
            raise FoldsegError(f"train_images: {wanted} is more than the {len(train)} that fold {fold} is trained on")
        train = train.sample(wanted, random_state=experiment.seed).sort_values("id")
    return FoldData(label_set(data), table, train, table[table["fold"] == fold])


def fold_numbers(experiment: Experiment, choice: str) -> list[int]:
    """Numbers of folds: `choice` is one of them, or "all" for every fold of the experiment's folds file."""
    if choice.isdecimal():
        return [int(choice)]
    if choice != "all":
        raise FoldsegError(f"fold {choice!r}: should be a number or `all`")
    return sorted(folded_samples(experiment.data)["fold"].unique().tolist())


def train_fold(experiment: Experiment, fold: int) -> RunFolder:
    """Train a fold and return its run folder.

    A finished run of the same configuration is returned as it is; one that was killed goes on after its last
    finished epoch, to the same weights as if it had not been. FoldsegError when the folder holds another
    configuration's run, and on everything that can be known to be wrong before the first batch.
    """
    check_device(experiment.device, experiment.precision)
    check_model(experiment.model)
    run = RunFolder.of(experiment, fold)
    if run.config.is_file():
        run = check_same(run, experiment)
        if run.summary.is_file():
            run.check_folds(folded_samples(experiment.data))
            logger.info("%s: is finished already", run.path)
            return run
    data = fold_data(experiment, fold)
    check_score(experiment.monitor, data.labels, "monitor")
    resume = run.last.is_file()
    remove_partials(run.last.parent)
    pl.seed_everything(experiment.seed, verbose=False)  # every fold starts from the same weights
    network = build_network(experiment.model, len(data.labels), pretrained=not resume)
    check_view(experiment.view.predict, network.stride)
    module = FoldModule(experiment, data.labels, network, _class_weights(experiment, data))
    if resume:
        run.check_folds(data.all)
    else:
        run.describe(experiment, fold, data.labels.names, data.all)
    _fit(run, module, data, resume)
    return run


def _fit(run: RunFolder, module: FoldModule, data: FoldData, resume: bool) -> None:
    """Train until the schedule ends or the score stops rising; write summary.json."""
    config, stride = module.experiment, module.network.stride
    root, workers = config.data.root, config.workers
    train = TrainSamples(data.train, root, data.labels, config.view.train, config.augment, stride, config.seed)
    validation = EvalSamples(data.validation, root, data.labels, config.view.predict, stride)
    recorder = Recorder(run, config.monitor)
    stopper = _early_stopping(config)
    trainer = _trainer(config, [recorder, *([stopper] if stopper else [])])
    if config.channels_last:
        module.network.to(memory_format=torch.channels_last)
    if resume:
        logger.info("%s: goes on from %s", run.path, run.last.name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*|.*number of training batches.*")
        warnings.filterwarnings("ignore", ".*Trying to infer the `batch_size`.*|.*LeafSpec.*")
        try:
            trainer.fit(
                module,
                train_loader(train, config.batch_size, workers, config.seed),
                eval_loader(validation, workers),
                ckpt_path=run.last if resume else None,
                weights_only=True if resume else None,
            )
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl+C into a silent exit
                raise KeyboardInterrupt from None
            raise
    recorder.write_metrics()  # a process that was killed after its last checkpoint may have left them one row behind
    best = recorder.best
    stopped_early = stopper is not None and stopper.stopped_epoch > 0
    write_json(
        run.summary,
        {
            "best_epoch": best["epoch"],
            "monitor": config.monitor,
            "best": best[config.monitor],
            "epochs": len(recorder.rows),
            "stopped": "the score stopped rising" if stopped_early else "the schedule ended",
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "seconds": round(sum(row["seconds"] for row in recorder.rows), 1),
        },
    )


def _trainer(config: Experiment, callbacks: list[Callback]) -> pl.Trainer:
    bar = sys.stderr.isatty()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Trainer(
            accelerator=config.device,
            devices=1,
            precision=PRECISIONS[config.precision],
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
        )


class _EarlyStopping(EarlyStopping):
    """Lightning's, but a run that was killed after it had stopped does not go on training when it is resumed."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if the score had stopped rising already."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def _early_stopping(config: Experiment) -> EarlyStopping | None:
    stop = config.early_stopping
    if stop is None:
        return None
    return _EarlyStopping(
        config.monitor,
        mode="max",
        patience=stop.patience,
        min_delta=stop.min_delta,
        check_on_train_epoch_end=False,  # but after a validation, which not every epoch has
    )


def _class_weights(config: Experiment, data: FoldData) -> Tensor | None:
    """Weights of the cross-entropy's classes, from the fold's training masks alone; None for equal weights."""
    choice, classes = config.loss.class_weights, len(data.labels)
    if choice == "none":
        return None
    if choice == "inverse_log":
        pixels = count_mask_pixels(data.train, config.data.root, data.labels)[:, :-1].sum(0)
        return inverse_log_weights(pixels.tolist())
    if len(choice) != classes:
        raise FoldsegError(
            f"loss.class_weights: {len(choice)} weights for {classes} classes ({', '.join(data.labels.names)})"
        )
    return torch.tensor(choice)

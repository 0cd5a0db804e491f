"""Scores and saves averages of weights at the end of a run.

They are computed from last.ckpt and the top checkpoints. So a run that is killed here computes the same again.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from foldseg.models.weights import load_torch_file
from foldseg.runs.checkpoints import network_state, network_weights, write_weights
from foldseg.runs.run_folder import RunFolder
from foldseg.scoring.scores import SCORES
from foldseg.training.averaging import EmaWeights, State, SwaWeights, average_weights, update_batch_norms
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder
from foldseg.training.stages import Loaders
from foldseg.views.epoch_plan import SINGLE_PROCESS
from foldseg.views.train_samples import epoch_sampler

logger = logging.getLogger(__name__)


def finish_averages(
    run: RunFolder,
    trainer: pl.Trainer,
    module: FoldModule,
    loaders: Loaders,
    recorder: Recorder,
    ema: EmaWeights | None,
    swa: SwaWeights | None,
) -> dict[str, dict[str, float]]:
    """Score the averages that the configuration asks for, and save them as checkpoints.

    Returns the scores, and the monitored number, by the name of the checkpoint: ema, swa or average.
    """
    config, top_epochs = module.experiment, recorder.top_epochs
    scores: dict[str, dict[str, float]] = {}
    if ema is not None and config.ema is not None and not config.ema.validated:
        scores["ema"] = _score_and_save(run, trainer, module, loaders, "ema", ema.weights, refresh=False)
    if swa is not None and swa.weights:
        scores["swa"] = _score_and_save(run, trainer, module, loaders, "swa", swa.weights, refresh=True)
    if len(top_epochs) > 1:
        paths = [run.checkpoint(f"top_{epoch}") for epoch in sorted(top_epochs)]
        mean = average_weights(network_state(load_torch_file(path)) for path in paths)
        scores["average"] = _score_and_save(run, trainer, module, loaders, "average", mean, refresh=True)
    return scores


def _score_and_save(
    run: RunFolder,
    trainer: pl.Trainer,
    module: FoldModule,
    loaders: Loaders,
    name: str,
    weights: State,
    *,
    refresh: bool,
) -> dict[str, float]:
    """Score weights and save them as a checkpoint; `refresh`: with batch-norm statistics of the training images."""
    network = module.network
    network.load_state_dict(weights)
    if refresh:
        device = trainer.strategy.root_device
        network.to(device)
        with trainer.precision_plugin.forward_context():
            update_batch_norms(network, _yield_training_images(module, loaders, device))
    trainer.validate(module, loaders.val_dataloader(), verbose=False)
    monitor = module.experiment.monitor
    scores: dict[str, float] = {metric: module.metrics[metric] for metric in dict.fromkeys([*SCORES, monitor])}
    content: dict[str, Any] = {"state_dict": network_weights(network)}
    module.on_save_checkpoint(content)
    if trainer.is_global_zero:
        write_weights(run.checkpoint(name), content)
    logger.info("%s %s.ckpt: %s %.4f", run.path, name, monitor, scores[monitor])
    return scores


def _yield_training_images(module: FoldModule, loaders: Loaders, device: torch.device) -> Iterator[Tensor]:
    """Yield the images of the epoch that would follow the last one. Every process gets all of them."""
    loader = loaders.stage_loader(-1, SINGLE_PROCESS)
    epoch_sampler(loader).set_epoch(module.experiment.schedule.epochs)
    for batch in loader:
        yield batch.images.to(device, non_blocking=True)

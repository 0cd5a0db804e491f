"""The end of a run: averages of weights are completed, scored once and kept; the summary is written.

All of it is computed from last.ckpt and the top checkpoints: a run that is killed here does it again, to the same end.
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
from foldseg.training.averaging import EmaWeights, State, SwaWeights, mean_weights, update_batch_norms
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder
from foldseg.training.stages import Loaders
from foldseg.views.epoch_plan import WHOLE
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
    """Save the averages that the configuration asks for as checkpoints; return name -> score (and monitor) -> value."""
    config, top = module.experiment, recorder.top
    found: dict[str, dict[str, float]] = {}
    if ema is not None and config.ema is not None and not config.ema.validated:
        found["ema"] = _keep(run, trainer, module, loaders, "ema", ema.weights, update=False)
    if swa is not None and swa.weights:
        found["swa"] = _keep(run, trainer, module, loaders, "swa", swa.weights, update=True)
    if len(top) > 1:
        mean = mean_weights(network_state(load_torch_file(run.checkpoint(f"top_{epoch}"))) for epoch in sorted(top))
        found["average"] = _keep(run, trainer, module, loaders, "average", mean, update=True)
    return found


def _keep(
    run: RunFolder,
    trainer: pl.Trainer,
    module: FoldModule,
    loaders: Loaders,
    name: str,
    weights: State,
    *,
    update: bool,
) -> dict[str, float]:
    """Score the weights, save them as a checkpoint; `update`: with batch-norm statistics from the training data."""
    network = module.network
    network.load_state_dict(weights)
    if update:
        network.to(trainer.strategy.root_device)
        with trainer.precision_plugin.forward_context():
            update_batch_norms(network, _images(module, loaders, trainer.strategy.root_device))
    trainer.validate(module, loaders.val_dataloader(), verbose=False)
    monitor = module.experiment.monitor
    scores: dict[str, float] = {score: module.metrics[score] for score in [*SCORES, monitor]}
    content: dict[str, Any] = {"state_dict": network_weights(network)}
    module.on_save_checkpoint(content)
    if trainer.is_global_zero:
        write_weights(run.checkpoint(name), content)
    logger.info("%s %s.ckpt: %s %.4f", run.path, name, monitor, scores[monitor])
    return scores


def _images(module: FoldModule, loaders: Loaders, device: torch.device) -> Iterator[Tensor]:
    """Images of one epoch of the last stage, the one after the last, whole in every process."""
    loader = loaders.stage_loader(-1, WHOLE)
    epoch_sampler(loader).set_epoch(module.experiment.schedule.epochs)
    for batch in loader:
        yield batch.images.to(device, non_blocking=True)

"""Soups: the mean of the weights of several checkpoints of a run, as one more checkpoint, `soup.ckpt`.

Greedy (Wortsman et al., 2022, arXiv:2203.05482): checkpoints are taken in from the best on, each only if the mean then
scores no less on the fold's OOF images. Like the choice of the best epoch, that flatters the fold's OOF score a little.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from foldseg.data.datasets import DataSet
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.files import locked, write_json
from foldseg.models.device import choose_device
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.checkpoints import network_state, network_weights, read_checkpoint, write_weights
from foldseg.runs.contents import warn_of_changes
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.training.averaging import State, mean_weights, update_batch_norms
from foldseg.training.data import open_fold
from foldseg.training.memory import explained_memory
from foldseg.training.stages import stage_settings
from foldseg.training.validation import Validation, goodness
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.eval_samples import EvalSamples, eval_loader
from foldseg.views.train_samples import epoch_sampler, train_loader

logger = logging.getLogger(__name__)


def make_soup(run: RunFolder, names: Sequence[str] = (), *, greedy: bool = True, device: str = "auto") -> list[str]:
    """Write soup.ckpt of a finished run, and soup.json, which says of what; return the checkpoints it is made of.

    `names`: of checkpoints; () for all that the run keeps. FoldsegError when there are fewer than two, or of unknown
    names.
    """
    with locked(run.path), explained_memory(run.experiment):
        chosen = list(names) or sorted({path.stem for path in run.best.parent.glob("[!.]*.ckpt")} - {"soup"})
        states = {name: network_state(read_checkpoint(run.existing_checkpoint(name))) for name in chosen}
        if len(states) < 2:
            raise FoldsegError(f"{run.path}: a soup wants two checkpoints or more; there is {', '.join(states)}")
        kitchen = _Kitchen(run, device)
        rank = partial(goodness, run.experiment.monitor)
        scores = {name: kitchen.score(state, refresh=False) for name, state in states.items()}
        if all(math.isnan(value) for value in scores.values()):
            raise FoldsegError(f"{run.path}: {run.experiment.monitor} is undefined (NaN) for {', '.join(scores)}")
        order = sorted(states, key=lambda name: -rank(scores[name]))
        taken = order[:1] if greedy else order
        best = scores[order[0]] if greedy else kitchen.score(mean_weights(states[name] for name in taken))
        for name in order[1:] if greedy else []:
            value = kitchen.score(mean_weights(states[part] for part in [*taken, name]))
            logger.info("%s: with %s %.4f, without %.4f", run.path, name, value, best)
            if rank(value) >= rank(best):
                taken, best = [*taken, name], value
        _save(run, mean_weights(states[name] for name in taken), kitchen, refresh=len(taken) > 1)
        facts = {"monitor": run.experiment.monitor, "alone": scores, "of": taken, "soup": best, "greedy": greedy}
        write_json(run.path / "soup.json", facts)
        return taken


class _Kitchen:
    """The run's network, and its data to score it on."""

    def __init__(self, run: RunFolder, device: str) -> None:
        self.experiment = run.experiment
        self._device = choose_device(device)
        self.network: SegmentationNetwork = load_network(run).to(self._device)
        data = DataSet(self.experiment.data)
        self._fold_data = open_fold(self.experiment, run.fold, data)
        run.check_folds(data)
        warn_of_changes(run, data)

    @property
    def labels(self) -> LabelSet:
        return self._fold_data.labels

    @torch.inference_mode()
    def score(self, state: State, *, refresh: bool = True) -> float:
        """Score weights on the fold's OOF images; `refresh`: with batch-norm statistics of their own."""
        self.load(state, refresh=refresh)
        samples = self._samples()
        validation = Validation(self.experiment.view.predict, self.labels, self.experiment.eval_batch_size)
        loader = eval_loader(samples, self.experiment.workers)
        for sample in tqdm(loader, desc="scoring", unit="image", leave=False, disable=None):
            validation.add(self.network, replace(sample, inputs=sample.inputs.to(self._device)))
        validation.predict_waiting(self.network)
        return validation.row()[self.experiment.monitor]

    def load(self, state: State, *, refresh: bool) -> None:
        """Put weights into the network."""
        self.network.load_state_dict(state)
        self.network.eval()
        if refresh:
            update_batch_norms(self.network, self._training_images())

    def _samples(self) -> EvalSamples:
        return build_validation_samples(self.experiment, self._fold_data, self.network.stride)

    def _training_images(self) -> Iterator[Tensor]:
        """Images of one epoch of the last stage, the one after the last."""
        config = stage_settings(self.experiment)[-1]
        assert isinstance(config.batch_size, int)
        samples = build_train_samples(config, self._fold_data, self.network.stride)
        loader = train_loader(samples, config.batch_size, config.workers, config.seed)
        epoch_sampler(loader).set_epoch(config.schedule.epochs)
        for batch in loader:
            yield batch.images.to(self._device)


def _save(run: RunFolder, state: State, kitchen: _Kitchen, *, refresh: bool) -> None:
    kitchen.load(state, refresh=refresh)
    content = {
        "state_dict": network_weights(kitchen.network),
        "foldseg": {"classes": kitchen.labels.names, "model": run.experiment.model.model_dump(mode="json")},
    }
    write_weights(run.checkpoint("soup"), content)

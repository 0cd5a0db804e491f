"""Soups: the mean of the weights of several checkpoints of a run, written as `soup.ckpt`.

A greedy soup (Wortsman et al., 2022, arXiv:2203.05482) tries the checkpoints from the best one on. It takes one in only
if the mean then scores no worse on the fold's OOF images. Like the choice of the best epoch, this makes the fold's OOF
score a little too good.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.files import locked, write_json
from foldseg.models.device import choose_device
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.checkpoints import network_state, network_weights, read_checkpoint, write_weights
from foldseg.runs.data_changes import warn_of_changes
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.training.averaging import State, average_weights, update_batch_norms
from foldseg.training.memory import explain_memory_errors
from foldseg.training.open_fold import open_fold
from foldseg.training.stages import list_stage_settings
from foldseg.training.validation import Validation, make_comparable
from foldseg.views.build import build_train_samples, build_validation_samples
from foldseg.views.eval_samples import eval_loader
from foldseg.views.train_samples import epoch_sampler, train_loader

logger = logging.getLogger(__name__)


def make_soup(run: RunFolder, names: Sequence[str] = (), *, greedy: bool = True, device: str = "auto") -> list[str]:
    """Write soup.ckpt of a finished run, and soup.json about it; return the checkpoints that the soup is made of.

    `names`: checkpoints to choose from; () for all that the run has. FoldsegError if there are fewer than two, or if a
    name is unknown.
    """
    with locked(run.path), explain_memory_errors(run.experiment):
        candidates = list(names) or sorted({path.stem for path in run.best.parent.glob("[!.]*.ckpt")} - {"soup"})
        states = {name: network_state(read_checkpoint(run.existing_checkpoint(name))) for name in candidates}
        if len(states) < 2:
            raise FoldsegError(f"{run.path}: a soup wants two checkpoints or more; there is {', '.join(states)}")
        evaluator = _Evaluator(run, device)
        for name, state in states.items():
            evaluator.check(run.checkpoint(name), state)
        monitor = run.experiment.monitor
        scores = {name: evaluator.score(state, refresh=False) for name, state in states.items()}
        if all(math.isnan(value) for value in scores.values()):
            raise FoldsegError(f"{run.path}: {monitor} is undefined (NaN) for {', '.join(scores)}")
        ordered = sorted(states, key=lambda name: -make_comparable(monitor, scores[name]))
        if greedy:
            parts, soup_score = _choose_greedily(run, evaluator, states, ordered, scores[ordered[0]])
        else:
            parts, soup_score = ordered, evaluator.score(average_weights(states[name] for name in ordered))
        evaluator.load(average_weights(states[name] for name in parts), refresh=len(parts) > 1)
        evaluator.save(run.checkpoint("soup"))
        report = {"monitor": monitor, "alone": scores, "of": parts, "soup": soup_score, "greedy": greedy}
        write_json(run.path / "soup.json", report)
        return parts


def _choose_greedily(
    run: RunFolder, evaluator: "_Evaluator", states: Mapping[str, State], ordered: Sequence[str], best_score: float
) -> tuple[list[str], float]:
    """Return the checkpoints of a greedy soup, and its score. `ordered`: all names, the best first, with its score."""
    monitor = run.experiment.monitor
    parts = [ordered[0]]
    for name in ordered[1:]:
        score = evaluator.score(average_weights(states[part] for part in [*parts, name]))
        logger.info("%s: with %s %.4f, without %.4f", run.path, name, score, best_score)
        if make_comparable(monitor, score) >= make_comparable(monitor, best_score):
            parts, best_score = [*parts, name], score
    return parts, best_score


class _Evaluator:
    """The run's network, and the data on which its weights are scored."""

    def __init__(self, run: RunFolder, device: str) -> None:
        self._experiment = run.experiment
        self._device = choose_device(device)
        self._network: SegmentationNetwork = load_network(run).to(self._device)
        data = DataSet(self._experiment.data)
        self._fold_data = open_fold(self._experiment, run.fold, data)
        run.check_folds(data)
        warn_of_changes(run, data)

    def check(self, path: Path, state: State) -> None:
        """Raise FoldsegError if the weights of a checkpoint are not those of the network."""
        try:
            self._network.load_state_dict(state)
        except RuntimeError as error:
            raise FoldsegError(f"{path}: does not hold the weights of the run's network; it was damaged") from error

    @torch.inference_mode()
    def score(self, state: State, *, refresh: bool = True) -> float:
        """Score weights on the fold's OOF images; `refresh`: with batch-norm statistics of their own."""
        self.load(state, refresh=refresh)
        experiment = self._experiment
        samples = build_validation_samples(experiment, self._fold_data, self._network.stride)
        validation = Validation(
            experiment.view.predict, self._fold_data.labels, experiment.eval_batch_size, experiment.monitor
        )
        loader = eval_loader(samples, experiment.workers)
        for sample in tqdm(loader, desc="scoring", unit="image", leave=False, disable=None):
            validation.add(self._network, replace(sample, inputs=sample.inputs.to(self._device)))
        validation.predict_waiting(self._network)
        return validation.compute_metrics()[experiment.monitor]

    def load(self, state: State, *, refresh: bool) -> None:
        """Load weights into the network; `refresh`: with batch-norm statistics of their own."""
        self._network.load_state_dict(state)
        self._network.eval()
        if refresh:
            update_batch_norms(self._network, self._yield_training_images())

    def save(self, path: Path) -> None:
        """Write the network's weights as a checkpoint."""
        model = self._experiment.model.model_dump(mode="json")
        content = {
            "state_dict": network_weights(self._network),
            "foldseg": {"classes": self._fold_data.labels.names, "model": model},
        }
        write_weights(path, content)

    def _yield_training_images(self) -> Iterator[Tensor]:
        """Yield the images of the epoch that would follow the last one."""
        last_stage = list_stage_settings(self._experiment)[-1]
        assert isinstance(last_stage.batch_size, int)
        samples = build_train_samples(last_stage, self._fold_data, self._network.stride)
        loader = train_loader(samples, last_stage.batch_size, last_stage.workers, last_stage.seed)
        epoch_sampler(loader).set_epoch(last_stage.schedule.epochs)
        for batch in loader:
            yield batch.images.to(self._device)

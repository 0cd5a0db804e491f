"""A run that is killed again and again, at moments drawn by chance, ends as the run that was left alone."""

import math
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from foldseg.config import Experiment, load_data, load_experiment
from foldseg.data.folds_file import make_folds_file
from foldseg.runs.run_folder import RunFolder
from foldseg.training.fit import train_fold
from foldseg.training.module import FoldModule
from outcome import differences, outcome

REPOSITORY = Path(__file__).parents[2]
EPOCHS_BEFORE_KILLS = (0, 1, 0, 1, 0, 1)  # that a process finishes before its moments are counted
MOMENTS = (1, 12)  # until it is killed; an epoch has a few more

RECIPES = {
    "one cycle, EMA, SWA, accumulation, top": [
        "ema={warm_up: 2}", "swa={start: 0.5}", "accumulate=2", "batch_size=1", "top_k=2",
        "early_stopping={patience: 3}", "model.dropout=0.2",
    ],
    "warm restarts, snapshots, EMA aside": [
        "schedule={kind: warm_restarts, cycles: 2}", "snapshots=true", "ema={validated: false, warm_up: 2}",
        "swa={start: 0.0, every: 2}", "optimizer={kind: sgd, lr: 0.02}",
    ],
    "plateau, thawing, lookahead, skipping": [
        "schedule={kind: plateau, patience: 0, factor: 0.5, metric: val_cross_entropy}",
        "optimizer.freeze_encoder_epochs=1", "on_non_finite=skip", "top_k=3", "clip_gradient_norm=1.0",
    ],
    "stages, cosine, EMA": [
        "schedule=cosine", "ema={}", "top_k=1", "optimizer.freeze_encoder_steps=4",
        "stages=[{epochs: 2, train_view: {kind: crop, size: [32, 32]}, batch_size: 3}, {epochs: 2, lr: 0.001}]",
    ],
    "workers, poly": ["workers=2", "schedule={kind: poly, linear_warm_up: 0.2}", "augment=strong", "swa={}"],
}  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that train a tiny network on 6 frames of 64x48 for 4 epochs."""
    root = tmp_path_factory.mktemp("toy")
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.fold_count=2",
        "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    network = ["model.options.decoder_channels=[8, 8, 8, 8]", "schedule.epochs=4", "batch_size=2"]
    return [*data, *network, "workers=0", "validate_every=1", "early_stopping=null"]


def experiment(toy: list[str], runs: Path, recipe: list[str]) -> Experiment:
    path = REPOSITORY / "configs/experiments/toy_full.yaml"
    return load_experiment(path, [*toy, *recipe, f"runs={runs}"])


def watch(at: Callable[[str], None]) -> None:
    """Call `at` before every epoch, step and validation image, and before and after a file appears (with its name)."""

    def around(owner: Any, name: str, what: str = "") -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            at(what or Path(args[-1]).name)
            result = original(*args, **kwargs)
            if not what:
                at("")
            return result

        setattr(owner, name, wrapped)

    around(FoldModule, "on_train_epoch_start", "epoch")
    around(FoldModule, "training_step", "step")
    around(FoldModule, "validation_step", "image")
    around(Path, "replace")


def train_in_child(config: Experiment, epochs: int = 0, moments: float = math.inf, file: str = "") -> bool:
    """Train in a forked process, killed as by `kill -9` after so many epochs and moments, or when `file` is to appear.

    Return whether it came to its end.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            begun, left = 0, moments

            def at(what: str) -> None:
                nonlocal begun, left
                begun += what == "epoch"
                left -= epochs == 0 or begun > epochs
                if left == 0 or (file and what == file):
                    os.kill(os.getpid(), signal.SIGKILL)

            watch(at)
            train_fold(config, 0)
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(ended) == 0, "training failed; see the captured output"
    return True


def finished_epochs(run: RunFolder) -> int:
    """Return how many epochs a killed run has behind it; 0: it will begin anew."""
    return torch.load(run.last, weights_only=True)["epoch"] + 1 if run.last.is_file() else 0


@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_random_moments_it_ends_as_the_run_that_was_left_alone(name, toy, tmp_path):
    torch.set_num_threads(1)
    whole = train_fold(experiment(toy, tmp_path / "whole", RECIPES[name]), 0)
    config = experiment(toy, tmp_path / "killed", RECIPES[name])
    run, rng, left = RunFolder.of(config, 0), random.Random(name), []
    for epochs in EPOCHS_BEFORE_KILLS:
        assert not train_in_child(config, epochs, rng.randint(*MOMENTS))
        left.append(finished_epochs(run))
    assert len({*left} - {0}) >= 2, f"a run that begins anew shows nothing: it went on after the epochs {left}"
    assert not train_in_child(config, file="summary.json"), "all is done but the last file"
    killed = train_fold(config, 0)
    assert differences(outcome(whole.path), outcome(killed.path)) == []

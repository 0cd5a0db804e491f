"""Checks whether the files that a killed run needs to go on are all there."""

from pathlib import Path
from typing import Any

from foldseg.errors import FoldsegError
from foldseg.models.weights import load_strictly
from foldseg.runs.checkpoints import network_state, read_checkpoint
from foldseg.runs.run_folder import RunFolder
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder

_TRAINING_KEYS = ("state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers")
"""What a checkpoint holds that training can go on from."""


def check_checkpoints(run: RunFolder, module: FoldModule) -> None:
    """Raise FoldsegError unless last.ckpt is a state of `module`'s training and the best and top checkpoints are whole.

    Nothing can replace a damaged last.ckpt. The state of the epoch before is not kept, because it would take as much
    space as everything else.
    """
    last = _read(run, run.last)
    if any(key not in last for key in _TRAINING_KEYS):
        raise FoldsegError(f"{run.last}: does not hold the state of a training; {_describe_remedy(run)}")
    load_strictly(module.network, network_state(last), run.last)
    recorder = Recorder(run, module.experiment)
    recorder.load_state_dict(last["callbacks"][recorder.state_key])
    for name in recorder.required_checkpoints:
        _read(run, run.checkpoint(name))


def _read(run: RunFolder, path: Path) -> Any:
    try:
        return read_checkpoint(path)
    except FoldsegError as error:
        raise FoldsegError(f"{error}; {_describe_remedy(run)}") from error


def _describe_remedy(run: RunFolder) -> str:
    return f"training cannot go on without it: put a copy of it back, or remove {run.path} to train the fold anew"

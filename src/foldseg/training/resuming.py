"""Is all there that a killed run needs to go on?"""

from pathlib import Path
from typing import Any

from foldseg.errors import FoldsegError
from foldseg.models.weights import load_strictly
from foldseg.runs.checkpoints import network_state, read_checkpoint
from foldseg.runs.run_folder import RunFolder
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder

_OF_TRAINING = ("state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers")


def check_checkpoints(run: RunFolder, module: FoldModule) -> None:
    """FoldsegError unless the run's last.ckpt is a state of `module`'s training, and its best and top ones are whole.

    Nothing else can take their place: a state of the epoch before is not kept, since it is as large as all the rest.
    """
    last = _load(run, run.last)
    if any(key not in last for key in _OF_TRAINING):
        raise FoldsegError(f"{run.last}: does not hold the state of a training; {_cure(run)}")
    load_strictly(module.network, network_state(last), run.last)
    recorder = Recorder(run, module.experiment)
    recorder.load_state_dict(last["callbacks"][recorder.state_key])
    for name in recorder.needed:
        _load(run, run.checkpoint(name))


def _load(run: RunFolder, path: Path) -> Any:
    try:
        return read_checkpoint(path)
    except FoldsegError as error:
        raise FoldsegError(f"{error}; {_cure(run)}") from error


def _cure(run: RunFolder) -> str:
    return f"training cannot go on without it: put a copy of it back, or remove {run.path} to train the fold anew"

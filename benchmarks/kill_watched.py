"""`foldseg train`, which also writes down what it is doing, for `kill.py`. The command itself is the same."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from kill_setups import PHASES

from foldseg.cli.app import main
from foldseg.inference import run_stores
from foldseg.training import fit
from foldseg.training.module import FoldModule
from foldseg.training.recorder import Recorder

BEFORE, TRAINING, VALIDATION, WRITING, FINISH, PREDICTION = range(len(PHASES))
_LAST = (FINISH, PREDICTION)

_file = os.open(os.environ["PHASE_FILE"], os.O_RDWR | os.O_CREAT)
_phase = BEFORE


def note(phase: int) -> None:
    """Write down what the command does from now on."""
    global _phase
    _phase = phase
    os.pwrite(_file, bytes([phase]), 0)


def watch(owner: Any, name: str, phase: int, *, ends: bool = False) -> None:
    """Note a phase whenever a function is called; `ends`: it ends with the function."""
    original: Callable[..., Any] = getattr(owner, name)

    @wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        before = _phase
        is_sanity_check = phase == VALIDATION and args[0].trainer.sanity_checking
        if phase == PREDICTION or not (is_sanity_check or before in _LAST):
            note(phase)
        try:
            return original(*args, **kwargs)
        finally:
            if ends and before not in _LAST:
                note(before)

    setattr(owner, name, watched)


if int(os.environ.get("LOCAL_RANK", "0")) == 0:
    note(BEFORE)
    watch(FoldModule, "on_train_batch_start", TRAINING)
    watch(FoldModule, "on_validation_epoch_start", VALIDATION)
    watch(Recorder, "on_train_epoch_end", TRAINING)
    watch(Recorder, "_save", WRITING, ends=True)
    watch(fit, "finish_averages", FINISH)
    watch(run_stores, "predict_run", PREDICTION)

if __name__ == "__main__":
    main()

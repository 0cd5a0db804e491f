"""Memory: the largest batch that fits, the error when a batch does not fit, and what happens to freed memory."""

import ctypes
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from foldseg.config import Experiment
from foldseg.config.schema.definitions import PRECISIONS
from foldseg.errors import FoldsegError
from foldseg.losses import outputs_loss
from foldseg.models.device import choose_autocast, choose_device
from foldseg.models.input_sizes import explained_forward
from foldseg.models.network import SegmentationNetwork
from foldseg.resources import explain_resource_errors, is_out_of_memory
from foldseg.training.optimizers import build_optimizer
from foldseg.views.train_samples import TrainSamples

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of `mallopt`, from glibc's malloc.h."""

_LARGEST_BATCH = 1024
"""Images in the largest batch that is tried. With more, a good learning rate is hard to choose."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for later requests. Without glibc, do nothing.

    By default, glibc returns the large maps of every training step to the kernel. The kernel then has to clear these
    pages before it gives them out again.
    """
    mallopt = _find_in_glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)  # -1: never return memory


def return_freed_memory() -> None:
    """Undo `keep_freed_memory` and return the memory: maps of other sizes would not fit into it."""
    mallopt, malloc_trim = _find_in_glibc("mallopt"), _find_in_glibc("malloc_trim")
    if mallopt is not None and malloc_trim is not None:
        # The values that glibc would have chosen by itself by now
        mallopt(_MMAP_MAX, 1 << 16)
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        malloc_trim(0)


def _find_in_glibc(name: str) -> Any:
    """Return a function of glibc; None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def explain_memory_errors(experiment: Experiment) -> AbstractContextManager[None]:
    """Return a context that turns "out of memory" into a FoldsegError that says which settings to lower."""
    return explain_resource_errors(f"{_advise(experiment)}. The last checkpoint is kept")


def _advise(experiment: Experiment) -> str:
    """Return what can be done if a batch does not fit into memory, with the present settings."""
    view = experiment.view.train.model_dump(mode="json")
    kind = view.pop("kind")
    view_settings = ", ".join([kind, *(f"{key} {value}" for key, value in view.items())])
    ways = [
        f"lower batch_size ({experiment.batch_size}; `accumulate` makes up for it)",
        f"view.train ({view_settings})",
    ]
    if not experiment.model.gradient_checkpointing:
        ways.append("set model.gradient_checkpointing=true")
    if PRECISIONS[experiment.precision].half_dtype is None:
        ways.append("use precision=bf16")
    return ", ".join(ways)


def find_largest_power(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest power of two, up to `limit`, for which `fits` is true; 0 if it is false for 1."""
    size = 1
    while size <= limit and fits(size):
        size *= 2
    return size // 2


def choose_device_to_fill(experiment: Experiment) -> torch.device:
    """Return the GPU. FoldsegError on the CPU, because other programs need its memory, too."""
    device = choose_device(experiment.device)
    if device.type == "cpu":
        raise FoldsegError("batch_size: auto needs a GPU and none is used; give a number")
    return device


def find_batch_size(
    experiment: Experiment, network: SegmentationNetwork, samples: TrainSamples, device: torch.device
) -> int:
    """Find by trying the largest batch that a device can train, a power of two from 2 on.

    Afterwards, the network's weights and statistics are as before. FoldsegError if not even two images fit.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image, mask, _ = samples[0, 0]
    network.to(device).train()
    half_dtype = choose_autocast(device, experiment.precision)

    def fits(size: int) -> bool:
        try:
            images = image.expand(size, *image.shape).contiguous().to(device)
            masks = mask.expand(size, *mask.shape).contiguous().to(device)
            optimizer = build_optimizer(experiment.optimizer, network)
            autocast = torch.autocast(device.type, half_dtype, enabled=half_dtype is not None)
            with explained_forward(network, images), autocast:
                loss = outputs_loss(network.outputs(images), masks, experiment.loss, None, samples.overlapping)[0]
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            network.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
        return True

    batch_size = 2 * find_largest_power(lambda pairs: fits(2 * pairs), min(_LARGEST_BATCH, len(samples)) // 2)
    network.cpu().load_state_dict(before)
    if batch_size == 0:
        raise FoldsegError(f"batch_size: auto: not even 2 images fit; {_advise(experiment)}")
    logger.info("batch_size: %d images fit", batch_size)
    return batch_size

"""How much fits into memory: the largest batch, and what to do when it was too large; what is freed, and who has it."""

import ctypes
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from foldseg.config import Experiment
from foldseg.errors import FoldsegError
from foldseg.losses import outputs_loss
from foldseg.models.device import choose_autocast, choose_device
from foldseg.models.inputs import explained_forward
from foldseg.models.network import SegmentationNetwork
from foldseg.resources import explained_resources, is_out_of_memory
from foldseg.training.optimizers import build_optimizer
from foldseg.views.train_samples import TrainSamples

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of glibc's malloc.h
_LARGEST = 1024  # images a batch; more only make the rate harder to choose


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for what is asked for next; where there is no glibc, do nothing.

    Otherwise the large maps of every training step are handed back to the kernel and come again as zeroed pages.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)  # never


def return_freed_memory() -> None:
    """Give back what was kept, and keep no more: maps of other sizes do not fit into what the last ones leave."""
    mallopt, malloc_trim = _of_glibc("mallopt"), _of_glibc("malloc_trim")
    if mallopt is not None and malloc_trim is not None:
        # What glibc would have arrived at by itself
        mallopt(_MMAP_MAX, 1 << 16)
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        malloc_trim(0)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def explained_memory(experiment: Experiment) -> AbstractContextManager[None]:
    """Turn "out of memory" inside of the block into a FoldsegError that says what to lower, and from what."""
    return explained_resources(f"{_advice(experiment)}. The last checkpoint is kept")


def _advice(experiment: Experiment) -> str:
    view = experiment.view.train.model_dump(mode="json")
    kind = view.pop("kind")
    size = ", ".join(f"{key} {value}" for key, value in view.items())
    ways = [f"lower batch_size ({experiment.batch_size}; `accumulate` makes up for it)"]
    ways.append(f"view.train ({kind}{', ' if size else ''}{size})")
    if not experiment.model.gradient_checkpointing:
        ways.append("set model.gradient_checkpointing=true")
    if experiment.precision == "fp32":
        ways.append("use precision=bf16")
    return ", ".join(ways)


def largest_power(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest power of two, up to `limit`, for which `fits` holds; 0 when 1 does not."""
    size = 1
    while size <= limit and fits(size):
        size *= 2
    return size // 2


def device_to_fill(experiment: Experiment) -> torch.device:
    """Return the GPU. FoldsegError on the CPU, whose memory is everybody's."""
    device = choose_device(experiment.device)
    if device.type == "cpu":
        raise FoldsegError("batch_size: auto needs a GPU and none is used; give a number")
    return device


def find_batch_size(
    experiment: Experiment, network: SegmentationNetwork, samples: TrainSamples, device: torch.device
) -> int:
    """Find the largest power of two of images of which a device can train one batch, from 2 on, by trying.

    The network's weights and statistics are as before afterwards. FoldsegError when not even two images fit.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image, mask, _ = samples[0, 0]
    network.to(device).train()
    half = choose_autocast(device, experiment.precision)

    def fits(size: int) -> bool:
        try:
            images, masks = (t[None].expand(size, *t.shape).contiguous().to(device) for t in (image, mask))
            optimizer = build_optimizer(experiment.optimizer, network)
            with explained_forward(network, images), torch.autocast(device.type, half, enabled=half is not None):
                loss = outputs_loss(network.outputs(images), masks, experiment.loss, None)[0]
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

    found = 2 * largest_power(lambda pairs: fits(2 * pairs), min(_LARGEST, len(samples)) // 2)
    network.cpu().load_state_dict(before)
    if found == 0:
        raise FoldsegError(f"batch_size: auto: not even 2 images fit; {_advice(experiment)}")
    logger.info("batch_size: %d images fit", found)
    return found

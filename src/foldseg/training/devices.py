"""Several processes that train one network together, each on a device of its own (DDP)."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from multiprocessing import get_context, get_start_method, set_start_method
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from foldseg import ending
from foldseg.errors import FoldsegError

T = TypeVar("T")


def launch(devices: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call `function(*arguments)` in `devices` new processes that can reach each other; return when all have ended.

    A FoldsegError in one of them ends the others and is raised here.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    errors = get_context("spawn").SimpleQueue()
    try:
        process_arguments = (devices, free_port, errors, get_start_method(), function, arguments)
        spawn(_run_process, process_arguments, nprocs=devices)  # type: ignore[no-untyped-call]
    except (ProcessRaisedException, ProcessExitedException) as error:
        if not errors.empty():
            raise FoldsegError(errors.get()) from None
        if isinstance(error, ProcessExitedException):
            raise FoldsegError(
                f"one of the {devices} processes that train together was ended from outside ({error}): most often that "
                "means that the system had no memory left; the same command goes on after the last checkpoint"
            ) from error
        raise


def _run_process(
    rank: int,
    devices: int,
    port: int,
    errors: Any,
    start_method: str,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """Call the function in one of the processes. Lightning reads the environment variables that are set here.

    Workers that load data are started by `start_method`, as in a single process. By default a spawned process would
    spawn them, and each worker would import torch again, in every validation.
    """
    set_start_method(start_method, force=True)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(devices)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    if rank == 0:
        ending.log_to_terminal()
    else:
        logging.disable()
    try:
        function(*arguments)
    except FoldsegError as error:
        errors.put(str(error))
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def get_rank() -> int:
    """Return the number of this process, from 0. Only process 0 writes files."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def gather(items: Sequence[T]) -> list[T]:
    """Interleave the lists of all processes: first items of all, then second items of all, ...

    That is the order that a single process would have.
    """
    if not distributed.is_initialized():
        return list(items)
    lists: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(lists, list(items))
    missing: Any = object()
    interleaved = chain.from_iterable(zip_longest(*lists, fillvalue=missing))
    return [item for item in interleaved if item is not missing]


class SameBuffers(Callback):
    """Makes all processes validate with the first one's batch-norm statistics, which are the saved ones."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the buffers of the first process to all others."""
        for buffer in pl_module.buffers():
            distributed.broadcast(buffer, 0)

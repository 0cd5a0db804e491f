"""Statistics of the steps of an epoch: losses, gradient norms, and whether all of them were finite."""

import logging
import math
from typing import Literal

import torch
from torch import Tensor

from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)


class EpochStatistics:
    """Sums of an epoch's losses and gradient norms. They are kept on the device, so that steps need not wait for them.

    `policy` says what happens if a loss or gradient is not finite:

    - stop: the run ends, one step later, with an error that names the images.
    - skip: a step without a finite gradient is left out. More than `max_skipped` of them in a row end the run. For
      this policy, every step has to wait for the norm of its gradient.

    `scaled`: a gradient scaler (of fp16) finds and leaves out such steps by itself.
    """

    def __init__(self, policy: Literal["stop", "skip"], max_skipped: int, *, scaled: bool) -> None:
        self._policy, self._max_skipped, self._scaled = policy, max_skipped, scaled
        self._skipped_in_a_row = 0
        self.start(0)

    def start(self, epoch: int) -> None:
        """Reset the numbers for a new epoch."""
        self._epoch, self._names = epoch, ["train_loss"]
        self._losses: Tensor | None = None  # (2, losses): sum and number of the finite ones
        self._norms: Tensor | None = None  # (4,): sum, largest and number of the finite ones; number of the others
        self._batch_ids: list[str] = []  # images of the last batch
        self._next_step_ids: list[str] = []  # images of the batches since the last step
        self._last_step_ids: list[str] = []  # images of the batches of the last step
        self._unchecked: list[Tensor] = []  # the last loss and, if a step followed it, the norm of the gradient

    def add_loss(self, total: Tensor, parts: dict[str, Tensor], ids: list[str]) -> None:
        """Add the loss of a batch and its parts; `ids` are its images. FoldsegError if the step before failed."""
        self.check()
        self._names = ["train_loss", *(f"train_{name}" for name in parts)]
        self._batch_ids = ids
        self._next_step_ids = [*self._next_step_ids, *ids]
        self._unchecked = [total.detach()]
        values = torch.stack([total.detach(), *parts.values()])
        finite = values.isfinite()
        sums_and_counts = torch.stack([values.where(finite, 0.0), finite.to(values)])
        self._losses = sums_and_counts if self._losses is None else self._losses + sums_and_counts

    def add_norm(self, norm: Tensor) -> bool:
        """Add the norm of a step's gradient, before clipping. Return whether the step is to be left out."""
        norm = norm.detach()
        is_finite = norm.isfinite()
        self._add_to_sums(norm, is_finite)
        self._last_step_ids, self._next_step_ids = self._next_step_ids, []
        if self._policy == "stop":
            if not self._scaled:
                self._unchecked.append(norm)
            return False
        if bool(is_finite):
            self._skipped_in_a_row = 0
            return False
        self._skip()
        return True

    def _add_to_sums(self, norm: Tensor, is_finite: Tensor) -> None:
        if self._norms is None:
            self._norms = torch.zeros(4).to(norm)
        finite_norm = norm.where(is_finite, 0.0)
        count = is_finite.to(norm)
        sums = self._norms + torch.stack([finite_norm, torch.zeros_like(norm), count, 1 - count])
        sums[1] = torch.maximum(sums[1], finite_norm)
        self._norms = sums

    def _skip(self) -> None:
        """Report a skipped step. FoldsegError if there were too many in a row."""
        images = ", ".join(self._last_step_ids)
        self._skipped_in_a_row += 1
        logger.warning("epoch %d: no finite gradient on the images %s; step left out", self._epoch, images)
        if self._skipped_in_a_row > self._max_skipped:
            raise FoldsegError(
                f"max_skipped: {self._skipped_in_a_row} steps in a row had no finite gradient, the last in epoch "
                f"{self._epoch} on the images {images}; the last checkpoint is kept. Lower optimizer.lr, set "
                "clip_gradient_norm or use precision=fp32"
            )

    def check(self) -> None:
        """Raise FoldsegError if the last loss or gradient was not finite, with policy stop."""
        if self._policy == "skip" or not self._unchecked:
            return
        loss, *norms = torch.stack(self._unchecked).tolist()
        if all(math.isfinite(value) for value in (loss, *norms)):
            return
        if not math.isfinite(loss):
            what, ids = f"loss is {loss}", self._batch_ids
        else:
            what, ids = f"norm of the gradient is {norms[0]}", self._last_step_ids
        raise FoldsegError(
            f"the {what} in epoch {self._epoch}, on the images {', '.join(ids)}; "
            "the last checkpoint is kept. Lower optimizer.lr, set clip_gradient_norm or use precision=fp32 "
            "(on_non_finite=skip leaves such steps out)"
        )

    def compute_means(self) -> dict[str, float]:
        """Return the epoch's mean `train_*` losses, `grad_norm_mean`, `grad_norm_max`, and the number `steps_skipped`.

        Only finite values count. A mean without any is NaN. FoldsegError if the last step failed.
        """
        self.check()
        if self._losses is None:
            return {}
        sums, counts = self._losses.tolist()
        means = {name: _divide(total, count) for name, total, count in zip(self._names, sums, counts, strict=True)}
        if self._norms is None:
            return means
        total, largest, finite, others = self._norms.tolist()
        return means | {
            "grad_norm_mean": _divide(total, finite),
            "grad_norm_max": largest if finite else math.nan,
            "steps_skipped": others if self._scaled or self._policy == "skip" else 0.0,
        }


def _divide(total: float, count: float) -> float:
    return total / count if count else math.nan

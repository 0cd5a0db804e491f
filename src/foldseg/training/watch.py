"""What the steps of an epoch were like: losses, gradient norms, and whether all of it was finite."""

import logging
import math
from typing import Literal

import torch
from torch import Tensor

from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)


class Watch:
    """Numbers of an epoch, summed on the device: no step waits for them, with `policy` stop.

    With `stop`, a loss or gradient that is not finite ends the run, one step late and by name of its images. With
    `skip`, a step without a finite gradient is left out, and more than `most` of them in a row end the run. `scaled`
    says that the gradients are fp16's, whose scaler finds and leaves out such steps itself.
    """

    def __init__(self, policy: Literal["stop", "skip"], most: int, *, scaled: bool) -> None:
        self._policy, self._most, self._scaled = policy, most, scaled
        self._skipped_in_a_row = 0
        self.start(0)

    def start(self, epoch: int) -> None:
        """Forget the last epoch's numbers."""
        self._epoch, self._names = epoch, ["train_loss"]
        self._losses: Tensor | None = None  # (2, losses): sum and number of the finite ones
        self._norms: Tensor | None = None  # (4,): sum, largest and number of the finite ones; number of the others
        self._ids: list[str] = []  # of the last batch
        self._step_ids: list[str] = []  # of the batches since the last step
        self._norm_ids: list[str] = []  # of the batches of the last step
        self._unchecked: list[Tensor] = []  # the last loss, and the norm of the gradient if it was followed by a step

    def loss(self, total: Tensor, parts: dict[str, Tensor], ids: list[str]) -> None:
        """Take in the loss of a batch, its parts, and the images it came from."""
        self.check()
        self._names = ["train_loss", *(f"train_{name}" for name in parts)]
        self._ids, self._step_ids, self._unchecked = ids, [*self._step_ids, *ids], [total.detach()]
        values = torch.stack([total.detach(), *parts.values()])
        finite = values.isfinite()
        seen = torch.stack([values.where(finite, 0.0), finite.to(values)])
        self._losses = seen if self._losses is None else self._losses + seen

    def leaves_out(self, norm: Tensor) -> bool:
        """Take in the norm of a step's gradient, before it is clipped; is the step to be left out?"""
        norm = norm.detach()
        finite = norm.isfinite()
        known = norm.where(finite, 0.0)
        if self._norms is None:
            self._norms = torch.zeros(4).to(norm)
        sums = self._norms + torch.stack([known, torch.zeros_like(known), finite.to(norm), 1 - finite.to(norm)])
        sums[1] = torch.maximum(sums[1], known)
        self._norms = sums
        if self._policy == "stop":
            self._unchecked += [] if self._scaled else [norm]
            self._norm_ids, self._step_ids = self._step_ids, []
            return False
        images, self._step_ids = ", ".join(self._step_ids), []
        if bool(finite):
            self._skipped_in_a_row = 0
            return False
        self._skipped_in_a_row += 1
        logger.warning("epoch %d: no finite gradient on the images %s; step left out", self._epoch, images)
        if self._skipped_in_a_row > self._most:
            raise FoldsegError(
                f"max_skipped: {self._skipped_in_a_row} steps in a row had no finite gradient, the last in epoch "
                f"{self._epoch} on the images {images}; the last checkpoint is kept. Lower optimizer.lr, set "
                "clip_gradient_norm or use precision=fp32"
            )
        return True

    def check(self) -> None:
        """FoldsegError when the last loss or gradient was not finite."""
        if self._policy == "skip" or not self._unchecked:
            return
        values = torch.stack(self._unchecked).tolist()
        if all(math.isfinite(value) for value in values):
            return
        of_loss = not math.isfinite(values[0])
        what = f"loss is {values[0]}" if of_loss else f"norm of the gradient is {values[1]}"
        raise FoldsegError(
            f"the {what} in epoch {self._epoch}, on the images {', '.join(self._ids if of_loss else self._norm_ids)}; "
            "the last checkpoint is kept. Lower optimizer.lr, set clip_gradient_norm or use precision=fp32 "
            "(on_non_finite=skip leaves such steps out)"
        )

    def row(self) -> dict[str, float]:
        """The epoch's means: `train_*` losses, `grad_norm_mean`, `grad_norm_max`, and the number `steps_skipped`.

        Over what was finite; NaN where nothing was.
        """
        self.check()
        if self._losses is None:
            return {}
        sums, counts = self._losses.tolist()
        row = {name: _ratio(total, count) for name, total, count in zip(self._names, sums, counts, strict=True)}
        if self._norms is None:
            return row
        total, most, finite, others = self._norms.tolist()
        skipped = others if self._scaled or self._policy == "skip" else 0.0
        return row | {
            "grad_norm_mean": _ratio(total, finite),
            "grad_norm_max": most if finite else math.nan,
            "steps_skipped": skipped,
        }


def _ratio(total: float, count: float) -> float:
    return total / count if count else math.nan

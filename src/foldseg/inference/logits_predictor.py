"""Predicts logits as they are before the head enlarges them; see `inference/enlargement.py` for the way back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from segmentation_models_pytorch.base import SegmentationHead
from torch import Tensor, nn

from foldseg.config.schema import Tta
from foldseg.data.frames import Frames
from foldseg.errors import FoldsegError
from foldseg.inference.enlargement import Enlargement
from foldseg.inference.predictor import Predictor
from foldseg.views.activation import SIGMOID
from foldseg.views.eval_samples import EvalSample, EvalSamples


@dataclass(frozen=True)
class LogitsPredictor:
    """A predictor whose network no longer enlarges its logits. `align_corners`: how its head would have done so."""

    predictor: Predictor
    align_corners: bool

    @staticmethod
    def of(predictor: Predictor) -> "LogitsPredictor":
        """Remove the enlargement from the head of `predictor`'s network. FoldsegError unless it is bilinear."""
        head = predictor.network.net.segmentation_head
        last = list(head)[1] if isinstance(head, SegmentationHead) else None
        if not isinstance(last, nn.Upsample) or last.mode != "bilinear":
            raise FoldsegError(
                "predictions: logits are kept of networks whose head enlarges them bilinearly (fpn, deeplabv3plus, "
                f"segformer, pspnet, ...); that of {type(predictor.network.net).__name__} does not, use probabilities"
            )
        head[1] = nn.Identity()  # type: ignore[operator, assignment]
        return LogitsPredictor(predictor, bool(last.align_corners))

    def samples(self, frames: Frames, tta: Tta) -> EvalSamples:
        """Return frames as the predictor takes them."""
        return self.predictor.samples(frames, tta)

    @torch.inference_mode()
    def __call__(self, samples: Sequence[EvalSample]) -> tuple[Tensor, Enlargement]:
        """Return logits (N, classes, h, w) float16 of samples on equal grids (full view), and how to enlarge them."""
        grid = samples[0].grid
        logits = self.predictor.logits(torch.cat([sample.inputs for sample in samples]))
        overlapping = self.predictor.activation is SIGMOID
        return logits.half(), Enlargement(grid.padded, grid.original, self.align_corners, overlapping)

"""The picture that TensorBoard shows of a validation image."""

import numpy as np

from foldseg.data.channels import as_rgb
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.views.eval_samples import EvalSample
from foldseg.views.geometry import resize_image, resize_mask, scale_size

_WIDTH = 480
"""Largest width of each part in pixels. Event files of full-size pictures would become larger than the checkpoints."""


def draw_triplet(sample: EvalSample, prediction: Mask, labels: LabelSet) -> Image:
    """Draw frame, truth and prediction side by side, each at most 480 pixels wide: (H, 3 W, 3) uint8 RGB."""
    assert sample.mask is not None
    height, width = sample.grid.resized
    frame = sample.inputs[0, :, :height, :width].permute(1, 2, 0).cpu().numpy()
    size = scale_size((height, width), min(1.0, _WIDTH / width))
    masks = [labels.colourise(resize_mask(mask, size)) for mask in (sample.mask, prediction)]
    return np.hstack([as_rgb(resize_image(frame, size)), *masks])

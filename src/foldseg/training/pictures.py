"""The picture that TensorBoard shows of a validation image."""

import numpy as np

from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.views.geometry import resize_mask
from foldseg.views.samples import EvalSample


def triplet(sample: EvalSample, prediction: Mask, labels: LabelSet) -> Image:
    """Frame, truth and prediction side by side, in the size that the network saw: (H, 3 W, 3) uint8 RGB."""
    assert sample.mask is not None
    height, width = sample.grid.resized
    frame = sample.inputs[0, :, :height, :width].permute(1, 2, 0).cpu().numpy()
    masks = [labels.colourise(resize_mask(mask, (height, width))) for mask in (sample.mask, prediction)]
    return np.hstack([frame, *masks])

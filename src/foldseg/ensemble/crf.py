"""Dense CRF on the blend. pydensecrf is built from C++ source, so it is imported only when it is asked for."""

import numpy as np

from foldseg.config.schema import Crf
from foldseg.data.labels import Image
from foldseg.ensemble.blend import Probabilities
from foldseg.errors import FoldsegError

_FLOOR = 1e-5  # a probability of 0 would be an infinite energy


def require_crf() -> None:
    """FoldsegError that says how to get pydensecrf, if it is not installed."""
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError as error:
        raise FoldsegError(
            "the crf step needs pydensecrf: pip install pydensecrf2==1.1 (wants a C++ compiler, about a minute), "
            "or leave the step out of `steps`"
        ) from error


def dense_crf(probabilities: Probabilities, image: Image, config: Crf) -> Probabilities:
    """Refine class probabilities with the picture's edges (Krähenbühl and Koltun, 2011, arXiv:1210.5644).

    probabilities (classes, H, W) float32 and image (H, W, 3) uint8 RGB -> (classes, H, W) float32 that sum to 1.
    Only the classes that are likely somewhere take part: cost is proportional to their number, and a class that is
    nowhere above 5% cannot win a pixel; its probability becomes 0.
    """
    from pydensecrf.densecrf import DenseCRF2D

    likely = np.flatnonzero(probabilities.max((1, 2)) > 0.05)
    if len(likely) < 2:
        return probabilities
    _, height, width = probabilities.shape
    part = probabilities[likely]
    unary = -np.log(np.maximum(part / np.maximum(part.sum(0), _FLOOR), _FLOOR)).reshape(len(likely), -1)
    field = DenseCRF2D(width, height, len(likely))
    field.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    field.addPairwiseGaussian(sxy=config.smooth_std, compat=config.smooth_weight)
    field.addPairwiseBilateral(
        sxy=config.appearance_std,
        srgb=config.appearance_colour_std,
        rgbim=np.ascontiguousarray(image),
        compat=config.appearance_weight,
    )
    refined = np.zeros_like(probabilities)
    refined[likely] = np.array(field.inference(config.iterations), np.float32).reshape(len(likely), height, width)
    return refined

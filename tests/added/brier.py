"""The Brier score as a loss: the squared distance of probabilities and truth (Brier, 1950)."""

from torch import Tensor

from foldseg.losses.pixels import Pixels, mean_where


def brier(pixels: Pixels) -> Tensor:
    """Mean over valid pixels of the squared distance, 0 to 2."""
    distance = (pixels.probabilities - pixels.truth.float()).square().sum(1)
    return mean_where(distance, pixels.valid)

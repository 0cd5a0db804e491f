"""Steps after the blend, by name. To add one: a module with what `scene.StepModule` says, and a line here."""

from foldseg.ensemble.scene import StepModule
from foldseg.ensemble.steps import bias, clean_up, crf, stack, thresholds, weights

STEPS: dict[str, StepModule] = {
    "weights": weights,
    "stack": stack,
    "bias": bias,
    "crf": crf,
    "thresholds": thresholds,
    "clean_up": clean_up,
}

GIVES_PROBABILITIES = ("weights", "stack", "bias", "crf")
"""Steps whose result is probabilities, which can be kept; the others are quick to take again."""

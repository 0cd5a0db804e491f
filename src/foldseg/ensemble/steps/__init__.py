"""Steps after the blend, by name. To add one: a module with what `scene.StepModule` says, and a line here.

Its settings, and what it states of itself, are a class of `foldseg.config.schema.steps`.
"""

from foldseg.config.schema.steps import STEP_SETTINGS
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


def _check() -> None:
    """TypeError when a step has settings and no module, or a module lacks a function or settings."""
    if alone := set(STEPS) ^ set(STEP_SETTINGS):
        raise TypeError(f"steps {sorted(alone)} should be in both STEPS and config/schema/steps.py: Step")
    functions = [name for name in vars(StepModule) if not name.startswith("_")]
    for step, module in STEPS.items():
        if missing := [name for name in functions if not callable(getattr(module, name, None))]:
            raise TypeError(f"ensemble/steps/{step}.py: a step has to have {', '.join(missing)} (scene.StepModule)")


_check()

"""What each step after the blend does. To add one: a module with what `scene.StepModule` says, and a line here.

Its settings, and what it states of itself, are a class of `foldseg.config.schema.steps`.
"""

from foldseg.config.schema import BiasStep, CleanUp, Crf, StackStep, Step, ThresholdStep, WeightsStep
from foldseg.config.schema.choice import check_entries
from foldseg.ensemble.scene import StepModule
from foldseg.ensemble.steps import bias, clean_up, crf, stack, thresholds, weights

STEPS: dict[type[Step], StepModule] = {
    WeightsStep: weights,
    StackStep: stack,
    BiasStep: bias,
    Crf: crf,
    ThresholdStep: thresholds,
    CleanUp: clean_up,
}


def _check() -> None:
    """TypeError when a step has settings and no module, or a module lacks a function or settings."""
    check_entries(STEPS, Step, "ensemble/steps/__init__.py: STEPS")
    functions = [name for name in vars(StepModule) if not name.startswith("_")]
    for step, module in STEPS.items():
        if missing := [name for name in functions if not callable(getattr(module, name, None))]:
            name = f"ensemble/steps/{step.kind_name()}.py"
            raise TypeError(f"{name}: a step has to have {', '.join(missing)} (scene.StepModule)")


_check()

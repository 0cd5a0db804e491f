"""What each step after the blend does. To add one: a module with what `scene.StepModule` says, and a line here.

Its settings, and what it states of itself, are a class of `foldseg.config.schema.steps`.
"""

from collections.abc import Iterable
from importlib import import_module

from foldseg.config import Ensemble
from foldseg.config.schema import BiasStep, CleanUp, Crf, StackStep, Step, ThresholdStep, WeightsStep
from foldseg.config.schema.choice import check_entries
from foldseg.data.labels import LabelSet
from foldseg.ensemble.scene import StepModule
from foldseg.ensemble.steps import bias, clean_up, crf, stack, thresholds, weights
from foldseg.errors import FoldsegError

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


def require_packages(steps: Iterable[Step]) -> None:
    """FoldsegError that says how to get an optional package that a step needs, if it is not installed."""
    for step in steps:
        if step.package is None:
            continue
        try:
            import_module(step.package.module)
        except ImportError as error:
            raise FoldsegError(
                f"the {step.kind} step needs {step.package.remedy}, or leave the step out of `steps`"
            ) from error


def check_steps(config: Ensemble, labels: LabelSet) -> None:
    """FoldsegError when a step does not go with the classes, the score or other settings of an ensemble."""
    for step in config.steps:
        STEPS[type(step)].check(step, config, labels)
        key = f"steps.{step.kind}.classes"
        if unknown := set(step.named_classes) - set(labels.names):
            raise FoldsegError(f"{key}: unknown {sorted(unknown)}; valid are {', '.join(labels.names)}")
        rest = [c.name for c in labels.classes if c.name in step.named_classes and not c.scored]
        if rest and config.may_overlap:
            raise FoldsegError(
                f"{key}: {', '.join(rest)} is not scored, and where categories overlap there are only masks of scored "
                "classes"
            )

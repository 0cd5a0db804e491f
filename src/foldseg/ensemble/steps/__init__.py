"""The steps after the blend. To add one: a module with a class derived from `Operation`, and a line in `STEPS`.

The settings of a step, and what the ensemble has to know of it, are a class of `foldseg.config.schema.steps`.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from foldseg.config import Ensemble
from foldseg.config.schema import (
    BiasStep,
    CleanUpStep,
    CrfStep,
    GateStep,
    StackStep,
    Step,
    ThresholdStep,
    TripletStep,
    WeightsStep,
)
from foldseg.config.schema.choice import check_entries
from foldseg.data.labels import LabelSet
from foldseg.ensemble.operation import Operation, check_operation
from foldseg.ensemble.steps.bias import BiasOperation
from foldseg.ensemble.steps.clean_up import CleanUpOperation
from foldseg.ensemble.steps.crf import CrfOperation
from foldseg.ensemble.steps.gate import GateOperation
from foldseg.ensemble.steps.stack import StackOperation
from foldseg.ensemble.steps.thresholds import ThresholdOperation
from foldseg.ensemble.steps.triplet import TripletOperation
from foldseg.ensemble.steps.weights import WeightsOperation
from foldseg.errors import FoldsegError

STEPS: dict[type[Step], type[Operation[Any]]] = {
    WeightsStep: WeightsOperation,
    StackStep: StackOperation,
    BiasStep: BiasOperation,
    CrfStep: CrfOperation,
    ThresholdStep: ThresholdOperation,
    TripletStep: TripletOperation,
    GateStep: GateOperation,
    CleanUpStep: CleanUpOperation,
}
check_entries(STEPS, Step, "ensemble/steps/__init__.py: STEPS")
for _operation in STEPS.values():
    check_operation(_operation)


def build_operation(step: Step) -> Operation[Any]:
    """Return what a step does, with its settings."""
    return STEPS[type(step)](step)


def require_packages(steps: Iterable[Step]) -> None:
    """Raise FoldsegError if a step needs an optional package that is not installed; it says how to get it."""
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
    """Raise FoldsegError if a step does not go with the classes, the score or other settings of an ensemble."""
    for step in config.steps:
        build_operation(step).check(config, labels)
        key = f"steps.{step.kind}.classes"
        if unknown := set(step.named_classes) - set(labels.names):
            raise FoldsegError(f"{key}: unknown {sorted(unknown)}; valid are {', '.join(labels.names)}")
        not_scored = [c.name for c in labels.classes if c.name in step.named_classes and not c.scored]
        if not_scored and config.may_overlap:
            raise FoldsegError(
                f"{key}: {', '.join(not_scored)} is not scored, and where categories overlap there are only masks of "
                "scored classes"
            )

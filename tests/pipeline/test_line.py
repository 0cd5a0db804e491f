"""OOF and test images go the same way: the same steps, taken once, with the same rounding."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.steps import BiasStep, Place, Step
from foldseg.ensemble import pass_folder
from foldseg.ensemble.final import FinalPredictions
from foldseg.ensemble.image import ImageTask
from foldseg.ensemble.operation import Operation, check_operation
from foldseg.ensemble.passes import Pass, Tally, run_pass
from foldseg.ensemble.run import predict_ensemble
from foldseg.ensemble.steps import STEPS
from tiny_demo import REPOSITORY, TinyDemo, ensemble_overrides

CRF = "{kind: crf, iterations: 1, smooth_weight: [0.5, 1.0], appearance_weight: 2.0, appearance_std: 10.0, force: true}"
LINES = {
    "two biases": "{kind: bias, limit: 2, force: true}, {kind: bias, force: true}",
    "all": f"{{kind: weights, force: true}}, {{kind: bias, force: true}}, {CRF}, "
    "{kind: thresholds, force: true, categories: exclusive}, {kind: clean_up, min_area: 3, force: true}, "
    "{kind: clean_up, hole_area: [4, 9], force: true}",
}


def final_of(plan: Pass, task: ImageTask) -> tuple[bytes, list]:
    """Labels and counts after all steps."""
    tally = run_pass(plan, task)
    assert plan.final is not None
    return plan.final.read_labels(task.id).tobytes(), tally.counts[-1].tolist()


@pytest.mark.parametrize("name", list(LINES))
def test_an_oof_image_comes_to_the_same_as_a_test_image(demo: TinyDemo, monkeypatch, tmp_path, name: str) -> None:
    """The last pass over OOF images is done again as one pass from the members, with the same parameters."""
    if "crf" in LINES[name]:
        pytest.importorskip("pydensecrf.densecrf")
    pairs = []

    def both(plan: Pass, task: ImageTask) -> Tally:
        if plan.range.end is None and plan.source is not None:
            as_test = Pass(plan.spec, final=FinalPredictions(tmp_path / "final"))
            pairs.append((final_of(plan, task), final_of(as_test, task)))
        return run_pass(plan, task)

    monkeypatch.setattr(pass_folder, "run_pass", both)
    predict_ensemble(
        demo.ensemble(f"steps=[{LINES[name]}]", "score=image_mean_iou_present", "name=line", "bootstrap_samples=100")
    )
    assert len(pairs) == 24
    assert all(as_oof == as_test for as_oof, as_test in pairs)


# What ARCHITECTURE.md says under "a step after the blend", done word by word
MODULE = '''
"""Probabilities to a power, which may be fitted."""

import numpy as np

from foldseg.ensemble.blend import normalise
from foldseg.ensemble.prediction import Prediction
from foldseg.ensemble.operation import Operation
from foldseg.scoring.counts import count_pixels


class SharpenOperation(Operation):
    @property
    def is_fitted(self):
        return isinstance(self.settings.power, tuple)

    def apply(self, prediction, context, params):
        power = self.settings.power if params is None else params["power"]
        maps = prediction.as_probabilities() ** np.float32(power)
        maps[1] *= np.float32(1.37)  # a power alone would change no label
        return Prediction.of_probabilities(normalise(maps))

    def observe(self, prediction, truth, context, max_bytes):
        powers = [np.array(power) for power in self.settings.power]
        tried = [self.apply(prediction, context, {"power": power}).labels for power in powers]
        return {"counts": np.stack([count_pixels(truth, labels, len(context.labels)) for labels in tried])}

    def fit(self, observations, spec):
        counts = np.stack([observation["counts"] for observation in observations], 1)
        best = int(np.argmax([spec.value(of_power) for of_power in counts]))
        return {"power": np.array(self.settings.power[best])}

    def describe(self, params, spec):
        return {"power": float(params["power"])}
'''
SETTINGS = '''class Sharpen(Step):
    """Probabilities to a power."""

    place = Place.PROBABILITIES
    repeatable = True
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["sharpen"] = "sharpen"
    power: SomePositive = 2.0


class CleanUpStep(Step):
'''
COMPARE = """
import sys
import tempfile
from pathlib import Path

from foldseg.config import load_ensemble
from foldseg.ensemble import pass_folder
from foldseg.ensemble.final import FinalPredictions
from foldseg.ensemble.passes import Pass, run_pass
from foldseg.ensemble.run import predict_ensemble

equal = []
aside = FinalPredictions(Path(tempfile.mkdtemp()))


def both(plan, task):
    tally = run_pass(plan, task)
    if plan.range.end is None and plan.source is not None:
        run_pass(Pass(plan.spec, final=aside), task)
        equal.append((plan.final.read_labels(task.id) == aside.read_labels(task.id)).all())
    return tally


pass_folder.run_pass = both
predict_ensemble(load_ensemble(Path(sys.argv[1]), sys.argv[2:]))
print("alike", sum(equal), "of", len(equal))
"""


def replace_once(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert content.count(old) == 1, (path, old)
    path.write_text(content.replace(old, new))


def test_a_step_that_is_added_as_the_guide_says_is_taken_once_by_all_images(demo: TinyDemo, tmp_path: Path) -> None:
    source = Path(shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")))
    (source / "foldseg/ensemble/steps/sharpen.py").write_text(MODULE)
    registry = source / "foldseg/ensemble/steps/__init__.py"
    imports = (
        "foldseg.config.schema.steps import Sharpen",
        "foldseg.ensemble.steps.sharpen import SharpenOperation",
    )
    replace_once(registry, "STEPS: dict", "".join(f"from {line}\n" for line in imports) + "\nSTEPS: dict")
    line = "    BiasStep: BiasOperation,\n"
    replace_once(registry, line, line + "    Sharpen: SharpenOperation,\n")
    schema = source / "foldseg/config/schema/steps.py"
    replace_once(schema, "class CleanUpStep(Step):\n", SETTINGS)
    line = "{kind: sharpen, force: true}, {kind: bias, force: true}, {kind: sharpen, power: [0.5, 2.0], force: true}, "
    (tmp_path / "compare.py").write_text(COMPARE)
    words = [
        *ensemble_overrides(demo.root),
        f"steps=[{line}{{kind: clean_up, min_area: [3], force: true}}]",
        "name=added",
    ]
    done = subprocess.run(
        [sys.executable, tmp_path / "compare.py", REPOSITORY / "configs/ensembles/toy.yaml", *words],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(source)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alike 24 of 24\n"


def test_a_step_that_does_not_state_everything_is_an_error_at_import() -> None:
    with pytest.raises(
        TypeError, match="Unstated: a step's settings have to state repeatable, must_gain, refines_pseudo_labels"
    ):

        class Unstated(Step):
            place = Place.LABELS


def test_a_step_that_is_fitted_and_lacks_a_method_is_an_error_at_import() -> None:
    class Unfinished(Operation):
        @property
        def is_fitted(self) -> bool:
            return True

        def observe(self, *words):
            return {}

    with pytest.raises(TypeError, match=r"Unfinished: a step that is fitted has to have fit, describe"):
        check_operation(Unfinished)


def test_a_step_without_an_entry_is_an_error_at_import() -> None:
    entries = {kind: stage for kind, stage in STEPS.items() if kind is not BiasStep}
    with pytest.raises(TypeError, match=r"STEPS: has no entry for BiasStep, which the settings"):
        check_entries(entries, Step, "ensemble/steps/__init__.py: STEPS")

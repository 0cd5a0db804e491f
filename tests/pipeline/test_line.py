"""OOF and test images go the same way: the same steps, taken once, with the same rounding."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from foldseg.config.schema.steps import BiasStep, Place, Step
from foldseg.ensemble import oof, steps
from foldseg.ensemble.image import Leg, Task, process
from foldseg.ensemble.run import predict_ensemble
from foldseg.ensemble.steps import bias
from tiny_demo import REPOSITORY, TinyDemo, ensemble_overrides

CRF = "{kind: crf, iterations: 1, smooth_weight: [0.5, 1.0], appearance_weight: 2.0, appearance_std: 10.0, force: true}"
LINES = {
    "two biases": "{kind: bias, limit: 2, force: true}, {kind: bias, force: true}",
    "all": f"{{kind: weights, force: true}}, {{kind: bias, force: true}}, {CRF}, "
    "{kind: thresholds, force: true, categories: exclusive}, {kind: clean_up, min_area: 3, force: true}, "
    "{kind: clean_up, hole_area: [4, 9], force: true}",
}


def taken_as_test_images(monkeypatch: pytest.MonkeyPatch, demo: TinyDemo, line: str) -> list[tuple[dict, dict]]:
    """Outcomes of each OOF image at the end of its way, and of the same image with the same params as a test image."""
    seen: list[tuple[dict, dict]] = []

    def both(task: Task) -> dict:
        outcome = process(task)
        if task.leg.until is None and task.everything:
            seen.append((outcome, process(replace(task, leg=Leg(), everything=()))))
        return outcome

    monkeypatch.setattr(oof, "process", both)
    predict_ensemble(
        demo.ensemble(f"steps=[{line}]", "score=image_mean_iou_present", "name=line", "bootstrap_samples=100")
    )
    return seen


@pytest.mark.parametrize("name", list(LINES))
def test_an_oof_image_comes_to_the_same_as_a_test_image(demo: TinyDemo, monkeypatch, name: str) -> None:
    if "crf" in LINES[name]:
        pytest.importorskip("pydensecrf.densecrf")
    seen = taken_as_test_images(monkeypatch, demo, LINES[name])
    assert len(seen) == 24
    for as_oof, as_test in seen:
        assert as_oof["labels"].tobytes() == as_test["labels"].tobytes()
        assert as_oof["counts"][-1].tolist() == as_test["counts"][-1].tolist()


# What ARCHITECTURE.md says under "a step after the blend", done word by word
MODULE = '''
"""Probabilities to a power, which may be fitted."""

import numpy as np

from foldseg.ensemble.blend import normalised
from foldseg.ensemble.scene import Result
from foldseg.scoring.counts import count_pixels


def check(settings, config, labels):
    pass


def is_fitted(settings):
    return isinstance(settings.power, tuple)


def apply(settings, params, result, scene):
    power = settings.power if params is None else params["power"]
    maps = result.as_probabilities() ** np.float32(power)
    maps[1] *= np.float32(1.37)
    return Result.of(normalised(maps))


def observe(settings, result, truth, scene, target, most):
    tried = [apply(settings, {"power": np.array(power)}, result, scene).labels for power in settings.power]
    return {"counts": np.stack([count_pixels(truth, labels, len(scene.labels)) for labels in tried])}


def fit(settings, observations, target):
    values = [target.value(np.stack([one["counts"][i] for one in observations])) for i in range(len(settings.power))]
    return {"power": np.array(settings.power[int(np.argmax(values))])}


def describe(params, target, members):
    return {"power": float(params["power"])}


def compare(settings, observations, parts, before, target):
    return {}
'''
SETTINGS = '''class Sharpen(Step):
    """Probabilities to a power."""

    place = Place.PROBABILITIES
    repeatable = True
    must_gain = False
    refines_pseudo_labels = False

    kind: Literal["sharpen"] = "sharpen"
    power: SomePositive = 2.0


class CleanUp(Step):
'''
COMPARE = """
import sys
from dataclasses import replace
from pathlib import Path

from foldseg.config import load_ensemble
from foldseg.ensemble import oof
from foldseg.ensemble.image import Leg, process
from foldseg.ensemble.run import predict_ensemble

equal = []


def both(task):
    outcome = process(task)
    if task.leg.until is None and task.everything:
        again = process(replace(task, leg=Leg(), everything=()))
        equal.append(outcome["labels"].tobytes() == again["labels"].tobytes())
    return outcome


oof.process = both
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
    replace_once(registry, "import bias, ", "import sharpen, bias, ")
    replace_once(registry, "STEPS: dict", "from foldseg.config.schema.steps import Sharpen\n\nSTEPS: dict")
    replace_once(registry, "    BiasStep: bias,\n", "    BiasStep: bias,\n    Sharpen: sharpen,\n")
    schema = source / "foldseg/config/schema/steps.py"
    replace_once(schema, "class CleanUp(Step):\n", SETTINGS)
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


def test_a_step_that_does_not_state_everything_is_an_error_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        TypeError, match="Unstated: a step's settings have to state repeatable, must_gain, refines_pseudo_labels"
    ):

        class Unstated(Step):
            place = Place.LABELS

    with monkeypatch.context() as patch:
        patch.delitem(steps.STEPS, BiasStep)
        with pytest.raises(TypeError, match=r"steps/__init__.py: STEPS: has no entry for BiasStep, which the settings"):
            steps._check()
    monkeypatch.delattr(bias, "fit")
    with pytest.raises(TypeError, match=r"ensemble/steps/bias.py: a step has to have fit \(scene.StepModule\)"):
        steps._check()

"""Stacking: it learns what members are good at, is applied as scikit-learn would, and reads the picture."""

import numpy as np
import pytest

from foldseg.config.schema import StackStep
from foldseg.ensemble.steps import stack as step
from foldseg.scoring.counts import count_pixels
from made_up_members import CLASSES, blended, member_of, scene_of, target_of, truth_of, write_picture


@pytest.fixture
def images(tmp_path):
    """Truths and scenes of two members: one half knows, the other calls class 1 what is class 2 and the reverse."""
    truths, scenes = [], []
    for i in range(8):
        truth = truth_of(i)
        swapped = np.array([0, 2, 1, 3, *range(4, 256)], np.uint8)[truth]
        maps = [member_of(truth, i, 0.3), member_of(swapped, 50 + i, 0.6)]
        scenes.append(scene_of(f"im{i}", maps, image=write_picture(tmp_path / f"{i}.png", truth)))
        truths.append(truth)
    return truths, scenes


def fitted(settings: StackStep, truths, scenes):
    target = target_of(2)
    observed = [
        step.observe(settings, blended(s, np.ones(2)), t, s, target, 0) for t, s in zip(truths, scenes, strict=True)
    ]
    return step.fit(settings, observed, target), observed


@pytest.mark.parametrize("picture", [False, True])
def test_it_turns_round_a_member_that_mixes_up_two_classes(images, picture: bool) -> None:
    truths, scenes = images
    settings = StackStep(picture=picture, pixels_per_image=300)
    params, _ = fitted(settings, truths[:5], scenes[:5])

    def value(results) -> float:
        counts = [count_pixels(t, r.labels, CLASSES) for t, r in zip(truths[5:], results, strict=True)]
        return target_of(2).value(np.stack(counts))

    before = [blended(scene, np.ones(2)) for scene in scenes[5:]]
    after = [step.apply(settings, params, r, s) for r, s in zip(before, scenes[5:], strict=True)]
    assert value(after) > value(before) + 0.1
    assert np.allclose(after[0].probabilities.sum(0), 1, atol=1e-5)
    blocks = step.describe(params, target_of(2), ["a", "b"])
    assert list(blocks) == (["a", "b", "picture"] if picture else ["a", "b"])


def test_it_is_applied_as_the_fitted_regression_predicts(images) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    truths, scenes = images
    settings = StackStep(picture=False)
    params, observed = fitted(settings, truths, scenes)
    features = np.concatenate([one["features"] for one in observed])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(features, np.concatenate([one["truth"] for one in observed]))
    result = step.apply(settings, params, blended(scenes[0], np.ones(2)), scenes[0])
    whole = np.concatenate([step._logarithms(maps) for maps in scenes[0].members()]).T
    expected = model.predict_proba(whole).T.reshape(CLASSES, *truths[0].shape)
    assert np.abs(result.probabilities - expected).max() < 2e-3


def test_void_is_not_learned_from_and_absent_classes_are_never_predicted(images) -> None:
    truths, scenes = images
    few = [np.where(np.isin(t, (1, 2)), np.uint8(255), t) for t in truths]
    few = [np.where(t == 3, np.uint8(0), t) for t in few]
    params, observed = fitted(StackStep(), few, scenes)
    assert {int(c) for one in observed for c in one["truth"]} == {0}
    labels = step.apply(StackStep(), params, blended(scenes[0], np.ones(2)), scenes[0]).labels
    assert set(np.unique(labels)) == {0}
    two = [np.where(t == 3, np.uint8(0), np.where(t == 2, np.uint8(255), t)) for t in truths]
    params, _ = fitted(StackStep(), two, scenes)
    assert set(np.unique(step.apply(StackStep(), params, blended(scenes[0], np.ones(2)), scenes[0]).labels)) <= {0, 1}

"""Stacking: it learns what members are good at, is applied as scikit-learn would, and reads the picture."""

import numpy as np
import pytest

from foldseg.config.schema import StackStep
from foldseg.ensemble.steps.stack import StackOperation, _logarithms
from foldseg.scoring.counts import count_pixels
from made_up_members import CLASSES, blended, context_of, member_of, spec_of, truth_of, write_picture


@pytest.fixture
def images(tmp_path):
    """Truths and contexts of two members: one half knows, the other calls class 1 what is class 2 and the reverse."""
    truths, contexts = [], []
    for i in range(8):
        truth = truth_of(i)
        swapped = np.array([0, 2, 1, 3, *range(4, 256)], np.uint8)[truth]
        maps = [member_of(truth, i, 0.3), member_of(swapped, 50 + i, 0.6)]
        contexts.append(context_of(f"im{i}", maps, image=write_picture(tmp_path / f"{i}.png", truth)))
        truths.append(truth)
    return truths, contexts


def fitted(settings: StackStep, truths, contexts):
    operation = StackOperation(settings)
    pairs = zip(truths, contexts, strict=True)
    observed = [operation.observe(blended(context, np.ones(2)), truth, context, 0) for truth, context in pairs]
    return operation.fit(observed, spec_of(2)), observed


@pytest.mark.parametrize("picture", [False, True])
def test_it_turns_round_a_member_that_mixes_up_two_classes(images, picture: bool) -> None:
    truths, contexts = images
    settings = StackStep(picture=picture, pixels_per_image=300)
    params, _ = fitted(settings, truths[:5], contexts[:5])

    def value(results) -> float:
        counts = [count_pixels(t, r.labels, CLASSES) for t, r in zip(truths[5:], results, strict=True)]
        return spec_of(2).value(np.stack(counts))

    before = [blended(context, np.ones(2)) for context in contexts[5:]]
    after = [StackOperation(settings).apply(p, c, params) for p, c in zip(before, contexts[5:], strict=True)]
    assert value(after) > value(before) + 0.1
    assert np.allclose(after[0].probabilities.sum(0), 1, atol=1e-5)
    blocks = StackOperation(settings).describe(params, spec_of(2))
    assert list(blocks) == (["a", "b", "picture"] if picture else ["a", "b"])


def test_it_is_applied_as_the_fitted_regression_predicts(images) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    truths, contexts = images
    settings = StackStep(picture=False)
    params, observed = fitted(settings, truths, contexts)
    features = np.concatenate([one["features"] for one in observed])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(features, np.concatenate([one["truth"] for one in observed]))
    result = StackOperation(settings).apply(blended(contexts[0], np.ones(2)), contexts[0], params)
    whole = np.concatenate([_logarithms(maps) for maps in contexts[0].read_members()]).T
    expected = model.predict_proba(whole).T.reshape(CLASSES, *truths[0].shape)
    assert np.abs(result.probabilities - expected).max() < 2e-3


def test_void_is_not_learned_from_and_absent_classes_are_never_predicted(images) -> None:
    truths, contexts = images
    few = [np.where(np.isin(t, (1, 2)), np.uint8(255), t) for t in truths]
    few = [np.where(t == 3, np.uint8(0), t) for t in few]
    params, observed = fitted(StackStep(), few, contexts)
    assert {int(c) for one in observed for c in one["truth"]} == {0}
    labels = StackOperation(StackStep()).apply(blended(contexts[0], np.ones(2)), contexts[0], params).labels
    assert set(np.unique(labels)) == {0}
    two = [np.where(t == 3, np.uint8(0), np.where(t == 2, np.uint8(255), t)) for t in truths]
    params, _ = fitted(StackStep(), two, contexts)
    labels = StackOperation(StackStep()).apply(blended(contexts[0], np.ones(2)), contexts[0], params).labels
    assert set(np.unique(labels)) <= {0, 1}

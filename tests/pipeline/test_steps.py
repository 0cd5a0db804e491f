"""All kinds of steps, one after the other, from stores to a scored submission; and an ensemble that was stopped."""

import json
import os
import shutil
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from command.line import CommandLine
from foldseg.data.mask_files import read_mask
from foldseg.data.signate import LABELS
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.image import ImageTask
from foldseg.ensemble.members import find_members
from foldseg.ensemble.passes import Pass, PassRange, Tally, plan_passes, run_pass
from foldseg.ensemble.run import EnsembleResult, predict_ensemble, recompute_scores
from foldseg.errors import FoldsegError
from foldseg.files import read_json, write_json
from foldseg.report.tables import format_ensemble
from foldseg.scoring.counts import count_pixels
from foldseg.scoring.scores import score
from made_up_members import mean_of
from tiny_demo import TinyDemo

STEPS = (  # the first is not proven
    "steps=[{kind: weights, search: {rounds: 6}, force: true}, {kind: bias, limit: 4}, "
    "{kind: thresholds, categories: exclusive}, {kind: clean_up, min_area: [4, 12], hole_area: [6]}]"
)
SCORE = "image_mean_iou_present"
STAGES = ["blend", "blend + weights", "blend + weights + bias", "blend + weights + bias + thresholds"]
STAGES.append(STAGES[-1] + " + clean_up")


@pytest.fixture(scope="module")
def result(demo: TinyDemo) -> EnsembleResult:
    return predict_ensemble(demo.ensemble(STEPS, f"score={SCORE}", "name=stepped"))


def test_every_stage_is_scored_and_every_step_is_told(result: EnsembleResult) -> None:
    scores = read_json(result.folder / "score.json")
    assert list(scores["oof"]) == ["toy_full", "toy_crop", "toy_resized", *STAGES]
    assert list(scores["test"]) == list(scores["oof"]) if "test" in scores else True
    assert list(scores["steps"]) == STAGES[1:]
    for before, stage in pairwise(STAGES):
        facts = scores["steps"][stage]
        gain = scores["oof"][stage][SCORE] - scores["oof"][before][SCORE]
        assert facts["gain"] == pytest.approx(gain, abs=1e-12)
        assert facts["interval"][0] <= facts["gain"] + 1e-9 and facts["gain"] <= facts["interval"][1] + 1e-9
        assert 0 <= facts["probability"] <= 1
        assert 0 < facts["same_oof"] <= 1
        assert facts["fitted"] is not None
    assert set(scores["steps"][STAGES[2]]["fitted"]) == {"background", "car", "pedestrian", "lane", "signal"}
    assert scores["steps"][STAGES[1]]["forced"] is True
    assert scores["left_out"] == []
    assert set(scores["members"]["removing"]) == {"toy_full", "toy_crop", "toy_resized"}
    table = format_ensemble(result)
    assert "same OOF" in table and "worth" in table
    assert not (result.folder / "work").exists()


def test_every_number_can_be_made_again_from_the_stores(result: EnsembleResult) -> None:
    again = json.loads(json.dumps(recompute_scores(result.folder)))
    stated = read_json(result.folder / "score.json")
    assert again == {key: value for key, value in stated.items() if key != "made_from"}
    assert not (result.folder / "again").exists()


def test_a_number_that_cannot_be_made_again_is_named(
    result: EnsembleResult, command_line: CommandLine, tmp_path: Path
) -> None:
    made = shutil.copytree(result.folder, tmp_path / "stepped")
    facts = read_json(made / "score.json")
    facts["steps"]["blend + weights + bias"]["fitted"]["car"] += 1e-6
    write_json(made / "score.json", facts)
    done = command_line.run("verify", made, "--from-stores")
    assert done.status == 1
    assert "the largest difference is 1.0e-06" in done.stdout
    assert "error: 1 of" in done.stderr and "steps, blend + weights + bias, fitted, car is" in done.stderr


def test_stores_of_other_weights_are_not_taken_for_those_that_were_blended(
    demo: TinyDemo, result: EnsembleResult, tmp_path: Path
) -> None:
    runs = shutil.copytree(demo.root / "runs", tmp_path / "runs")
    made = shutil.copytree(result.folder, tmp_path / "stepped")
    content = (made / "config.yaml").read_text().replace(str(demo.root / "runs"), str(runs))
    (made / "config.yaml").write_text(content)
    with (runs / "toy_crop/fold_1/checkpoints/best.ckpt").open("ab") as weights:
        weights.write(b"trained on")
    with pytest.raises(FoldsegError, match=r"fold_1/predictions/oof-flip: is stale, .* other weights"):
        recompute_scores(made)


def test_a_fitted_step_is_better_where_it_was_fitted_than_the_step_before(result: EnsembleResult) -> None:
    """The bias maximises the score on all OOF images: 1 for every class is among what it tries."""
    scores = result.scores
    assert scores["steps"][STAGES[2]]["same_oof"] >= scores["oof"][STAGES[1]][SCORE] - 1e-9


def test_the_same_again_is_the_same(demo: TinyDemo, result: EnsembleResult) -> None:
    again = predict_ensemble(demo.ensemble(STEPS, f"score={SCORE}", "name=again", "workers=2"))
    assert again.scores == result.scores
    assert again.submission.read_bytes() == result.submission.read_bytes()


def test_rules_and_unions_are_scored_as_they_are_blended(demo: TinyDemo) -> None:
    """A slow blend of the stores: the vote, with ties to the lowest class, and pedestrians of any member."""
    made = predict_ensemble(demo.ensemble("blend={kind: vote, union: [pedestrian]}", "steps=[]", "name=votes"))
    members, labels = find_members(demo.config), LABELS.select("scored")
    counts = []
    for row in members.oof.itertuples():
        tops = [
            argmax(mean_of([(store.read(row.id), 1.0) for store in stores]))
            for stores in members.sources("oof", int(row.fold)).values()
        ]
        votes = np.stack([sum((top == c).astype(int) for top in tops) for c in range(len(labels))])
        found = votes.argmax(0).astype(np.uint8)
        found[np.any([top == 2 for top in tops], 0)] = 2
        counts.append(count_pixels(read_mask(demo.root / "city" / row.mask, labels), found, len(labels)))
    expected = score("dataset_miou", np.stack(counts), labels).value
    assert made.scores["oof"]["blend"]["dataset_miou"] == pytest.approx(expected, abs=1e-12)


def test_stacking_takes_the_place_of_the_blend(demo: TinyDemo) -> None:
    made = predict_ensemble(demo.ensemble("steps=[{kind: stack, pixels_per_image: 200}]", "name=stacked"))
    facts = made.scores["steps"]["blend + stack"]
    assert list(facts["fitted"]) == ["toy_full", "toy_crop", "toy_resized", "picture"]
    assert made.scores["oof"]["blend + stack"]["pixel_accuracy"] > 0.5


def killed_after(images: int) -> object:
    """`run_pass`, but the process kills itself when so many images are done."""
    left = [images]

    def stopped(plan: Pass, task: ImageTask) -> Tally:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return run_pass(plan, task)

    return stopped


@pytest.mark.parametrize("images", [3, 30, 60, 98])
def test_an_ensemble_that_was_killed_goes_on_where_it_was(
    demo: TinyDemo, result: EnsembleResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    """24 OOF images four times, for three fits and the rest; then 4 test images."""
    config = demo.ensemble(STEPS, f"score={SCORE}", "name=stepped", f"submissions={tmp_path}")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("foldseg.ensemble.pass_folder.run_pass", killed_after(images))
        try:
            predict_ensemble(config)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    done = Counter()

    def counting(plan: Pass, task: ImageTask) -> Tally:
        done[task.id] += 1
        return run_pass(plan, task)

    monkeypatch.setattr("foldseg.ensemble.pass_folder.run_pass", counting)
    again = predict_ensemble(config)
    assert again.scores == result.scores
    assert again.submission.read_bytes() == result.submission.read_bytes()
    assert not (tmp_path / "stepped/work").exists()
    assert sum(done.values()) <= 5 * 24 + 4 - images


def test_the_line_is_cut_before_each_step_that_is_fitted(demo: TinyDemo) -> None:
    """Weights, bias, thresholds, clean_up: the last two passes both begin with the maps after two steps."""
    assert plan_passes(demo.ensemble(STEPS, f"score={SCORE}").steps) == [
        PassRange(None, 0, keeps_maps=True),
        PassRange(0, 1, keeps_maps=True),
        PassRange(1, 2, keeps_maps=True),
        PassRange(2, 3, keeps_maps=False),
        PassRange(2, None),
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["blend.union=[tram]"], r"blend\.union: unknown \['tram'\]; valid are background, car"),
        (["steps=[{kind: clean_up, min_area: 4, classes: [tram]}]"], r"clean_up\.classes: unknown \['tram'\]"),
    ],
)
def test_unknown_classes_are_named(demo: TinyDemo, more: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        predict_ensemble(demo.ensemble(*more, "name=refused"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["steps=[bias, weights]"], "they come in this order"),
        (["steps=[weights, stack]"], "weights or stack"),
        (["members=[{experiment: toy_full}]", "steps=[weights]"], "single member"),
        (["blend={union: [car]}", "steps=[{kind: weights, per_class: true}]"], "do not go with blend.union"),
    ],
)
def test_steps_that_cannot_be_are_refused(demo: TinyDemo, more: list[str], says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        demo.ensemble(*more)


def test_pseudo_labels_want_given_values(demo: TinyDemo, tmp_path: Path) -> None:
    from foldseg.ensemble.pseudo import write_pseudo_labels

    pytest.importorskip("pydensecrf.densecrf")
    with pytest.raises(FoldsegError, match="pseudo labels want given values"):
        write_pseudo_labels(demo.ensemble("steps=[{kind: crf, smooth_std: [1, 3]}]"), tmp_path, 0.5)
    shutil.rmtree(tmp_path)

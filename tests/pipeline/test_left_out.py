"""A step that does harm is left out, with a line, unless it is forced; all that an ensemble leaves on disk says so."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_up_stores import biased_by_fold, fill_stores, guessing, knowing

from command.line import CommandLine, Finished
from foldseg.config import load_ensemble
from foldseg.ensemble.fitted import read_fitted_steps
from foldseg.files import read_json, write_json
from tiny_demo import REPOSITORY, TinyDemo, ensemble_overrides

TOY = REPOSITORY / "configs/ensembles/toy.yaml"
CLEAN_UP = "{kind: clean_up, min_area: 700%s}"


@pytest.fixture(scope="module")
def runs(demo: TinyDemo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's runs, of which toy_full knows, toy_crop guesses and toy_resized wants another bias in each fold."""
    made = Path(shutil.copytree(demo.root / "runs", tmp_path_factory.mktemp("made_up") / "runs"))
    for experiment, maps in (("toy_full", knowing), ("toy_crop", guessing), ("toy_resized", biased_by_fold)):
        fill_stores(demo.root, made, experiment, maps)
    return made


def blend(command_line: CommandLine, demo: TinyDemo, runs: Path, name: str, *members: str, steps: str) -> Finished:
    """Run foldseg ensemble; members are experiments, perhaps with more settings."""
    blended = ", ".join(f"{{experiment: {member}}}" for member in members)
    done = command_line.run(
        "ensemble", TOY, *ensemble_overrides(demo.root), f"runs={runs}", f"submissions={runs.parent / 'subs'}",
        f"members=[{blended}]", f"steps=[{steps}]", f"name={name}",
    )  # fmt: skip
    assert done.status == 0, done.said
    return done


@pytest.fixture(scope="module")
def harm(command_line: CommandLine, demo: TinyDemo, runs: Path) -> Finished:
    """An ensemble with a step that does harm, in subs/harm."""
    return blend(command_line, demo, runs, "harm", "toy_full", steps=CLEAN_UP % "")


@pytest.fixture(scope="module")
def forced(command_line: CommandLine, demo: TinyDemo, runs: Path) -> Finished:
    """The same with `force: true`, in subs/forced."""
    return blend(command_line, demo, runs, "forced", "toy_full", steps=CLEAN_UP % ", force: true")


def test_a_given_step_that_does_harm_is_left_out_of_all_that_is_written(command_line, runs, harm):
    (line,) = [line for line in harm.stderr.splitlines() if "left out" in line]
    assert "clean_up is left out: its nested gain on OOF is -0." in line and "force: true takes it" in line
    folder = runs.parent / "subs/harm"
    scores = read_json(folder / "score.json")
    assert list(scores["oof"]) == ["toy_full", "blend"] and scores["steps"] == {}
    (left_out,) = scores["left_out"]
    assert (left_out["step"], left_out["place"]) == ("clean_up", 1) and left_out["interval"][1] < 0
    assert pd.read_csv(folder.parent / "ledger.csv").set_index("name").loc["harm", "steps"] == "clean_up:left_out"
    steps = load_ensemble(folder / "config.yaml").steps
    assert len(steps) == 1  # what was asked for
    assert read_fitted_steps(folder / "fitted.npz", steps).left_out == {0}
    assert [row.split()[-2:] for row in harm.stdout.splitlines() if row.startswith("clean_up")] == [["left", "out"]]
    for more in ([], ["--from-stores"]):
        again = command_line.run("verify", folder, *more)
        assert again.status == 0, again.said


def test_pictures_are_predicted_without_what_was_left_out(command_line, demo, runs, harm, forced, tmp_path):
    blend(command_line, demo, runs, "plain", "toy_full", steps="")
    found = {}
    for name in ("plain", "harm", "forced"):
        out = tmp_path / name
        pictures = demo.root / "city/seg_test_images"
        done = command_line.run("predict-images", runs.parent / "subs" / name, pictures, "--out", out)
        assert done.status == 0, done.said
        found[name] = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(out.glob("*.png"))])
    assert np.array_equal(found["plain"], found["harm"])
    assert not np.array_equal(found["plain"], found["forced"])
    submission = [(runs.parent / f"subs/{name}/submission.json").read_bytes() for name in found]
    assert submission[0] == submission[1] != submission[2]


def test_a_forced_step_is_taken_with_a_warning(runs, forced):
    assert "clean_up is taken since its `force` says so; its nested gain on OOF is -0." in forced.stderr
    scores = read_json(runs.parent / "subs/forced/score.json")
    assert list(scores["oof"])[-1] == "blend + clean_up" and scores["left_out"] == []
    assert scores["steps"]["blend + clean_up"]["forced"] is True


def test_what_follows_a_step_that_is_left_out_is_fitted_without_it(command_line, demo, runs):
    """A bias that is fitted on one fold spoils the other one."""
    members, areas = ("toy_resized, weight: 50", "toy_full"), "{kind: clean_up, min_area: [0, 2], hole_area: [2]}"
    done = blend(command_line, demo, runs, "biased", *members, steps=f"bias, {areas}")
    assert "bias is left out: its nested gain on OOF is -0." in done.stderr, done.said
    blend(command_line, demo, runs, "unbiased", *members, steps=areas)
    with_bias, without = (read_json(runs.parent / f"subs/{name}/score.json") for name in ("biased", "unbiased"))
    assert with_bias["left_out"][0]["same_oof"] > without["oof"]["blend"]["dataset_miou"]  # where it was fitted
    assert list(with_bias["oof"]) == list(without["oof"])
    for key in ("oof", "steps", "members"):
        assert with_bias[key] == without[key]
    submissions = [(runs.parent / f"subs/{name}/submission.json").read_bytes() for name in ("biased", "unbiased")]
    assert submissions[0] == submissions[1]


def test_files_that_disagree_about_what_was_left_out_are_told(command_line, runs, harm, tmp_path):
    copied = Path(shutil.copytree(runs.parent / "subs", tmp_path / "subs"))
    write_json(copied / "harm/score.json", read_json(copied / "harm/score.json") | {"left_out": []})
    done = command_line.run("verify", copied / "harm")
    assert done.status == 1 and "Traceback" not in done.said
    assert "score.json says that no step was left out, fitted.npz that step 1 was" in done.stderr


def test_a_member_that_beats_the_blend_is_told(command_line, demo, runs):
    done = blend(command_line, demo, runs, "diluted", "toy_full", "toy_crop, weight: 3", steps="")
    assert "toy_full alone scores +0." in done.stderr and "more on OOF than the blend of all 2 members" in done.stderr
    best = read_json(runs.parent / "subs/diluted/score.json")["members"]["best"]
    assert best["member"] == "toy_full" and best["interval"][0] > 0

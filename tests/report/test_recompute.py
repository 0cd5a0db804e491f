"""Scores made anew from stores and label maps, beside what files state."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foldseg.config import load_ensemble, save
from foldseg.data.camvid import LABELS
from foldseg.ensemble.fitted import write_fitted_steps
from foldseg.ensemble.line import Line
from foldseg.errors import FoldsegError
from foldseg.files import read_json, write_json
from foldseg.report.recompute import Statement, format_recomputed, recompute, require_equal
from foldseg.scoring.counts import count_pixels
from foldseg.scoring.scores import SCORES, bootstrap, score
from foldseg.submission import label_png
from foldseg.submission.ledger import append_row

SHARES = [0.1, 0.3, 0.2, 0.5, 0.3, 0.4]  # of the car that is found, per image


def counts_of(world, cars: dict[str, float], ids: list[str]) -> np.ndarray:
    return np.stack([count_pixels(world.truth(), world.prediction(cars.get(i, 1.0)), len(LABELS)) for i in ids])


@pytest.fixture
def cars(world) -> dict[str, float]:
    return dict(zip(world.ids, SHARES, strict=True))


@pytest.fixture
def experiment(world, cars) -> Path:
    """Runs whose summary and metrics state what their own fold scores, pixel accuracy 0.001 less."""
    folder = world.runs("one", cars)
    for fold in (0, 1):
        run = folder / f"fold_{fold}"
        own = counts_of(world, cars, world.folds["id"][world.folds["fold"] == fold].tolist())
        values = {name: score(name, own, LABELS).value for name in SCORES}
        values["pixel_accuracy"] -= 0.001
        write_json(run / "summary.json", {"best_epoch": 3, "monitor": "dataset_miou", "best": values["dataset_miou"]})
        rows = [{"epoch": 1, **dict.fromkeys(SCORES, 0.1)}, {"epoch": 3, **values}]
        pd.DataFrame(rows).to_csv(run / "metrics.csv", index=False)
    return folder


@pytest.fixture
def submission(world, experiment, cars) -> Path:
    """A finished submission: OOF and test label maps, score.json and a row in the ledger, all of them right."""
    ensemble = world.submission([{"experiment": "one"}], cars)
    ensemble = ensemble.model_copy(update={"bootstrap_samples": 300})
    folder = ensemble.submissions / ensemble.name
    save(ensemble, folder / "config.yaml")
    label_png.write(folder / "labels", [("D4_f00000", world.prediction(0.5))], LABELS)
    blocks = {}
    for part, counts in (("oof", counts_of(world, cars, world.ids)), ("test", counts_of(world, {"x": 0.5}, ["x"]))):
        values = {name: score(name, counts, LABELS).value for name in SCORES}
        blocks[part] = {"blend": values | {"per_class": score("dataset_miou", counts, LABELS).per_class}}
    found = bootstrap("dataset_miou", counts_of(world, cars, world.ids), LABELS, np.arange(6), 300).interval()
    blocks["oof"]["blend"]["interval"] = found
    write_json(folder / "score.json", {"score": "dataset_miou", "folds": [0, 1], "steps": {}, **blocks})
    write_fitted_steps(folder / "fitted.npz", Line())
    oof, test = (blocks[part]["blend"]["dataset_miou"] for part in ("oof", "test"))
    numbers = {"oof": oof, "oof_low": found[0], "oof_high": found[1], "test": test}
    ledger = folder.parent / "ledger.csv"
    append_row(ledger, {"name": "both", "score": "dataset_miou", "oof": "0.1"})  # an older one
    append_row(ledger, {"name": "both", "score": "dataset_miou"} | {k: f"{v:.6f}" for k, v in numbers.items()})
    append_row(ledger, {"name": "another", "score": "dataset_miou", "oof": "0.2"})
    return folder


def test_all_scores_of_an_experiment_and_what_its_runs_say(world, experiment, cars):
    found = recompute(experiment)
    counts = counts_of(world, cars, world.ids)
    for name in SCORES:
        assert found.scores[name].value == pytest.approx(score(name, counts, LABELS).value, abs=1e-15)
    assert found.classes["dataset_miou"]["car"].value == pytest.approx(
        score("dataset_miou", counts, LABELS).per_class["car"]
    )
    differences = {(s.where, s.what): s.recomputed - s.stated for s in found.statements}
    assert len(differences) == 2 * len(SCORES)
    for (_, what), difference in differences.items():
        assert difference == pytest.approx(0.001 if what == "pixel_accuracy" else 0, abs=1e-12)
    require_equal(found.statements)  # validation and stores may differ
    single = recompute(experiment / "fold_1")
    assert len(single.statements) == len(SCORES) and len(single.oof) < 6


def test_a_submission_states_what_its_label_maps_say(submission):
    found = recompute(submission)
    require_equal(found.statements)
    stated = [(s.where, s.what) for s in found.statements]
    oof, test, ledger = "score.json oof, blend", "score.json test, blend", "ledger.csv row 2"
    whats = [*SCORES, "interval, low", "interval, high", *(f"IoU of {name}" for name in LABELS.names)]
    assert [what for where, what in stated if where == oof] == whats
    assert [what for where, what in stated if where == test] == [w for w in whats if not w.startswith("interval")]
    assert {what for where, what in stated if where == ledger} == {"oof", "oof_low", "oof_high", "test"}
    assert found.remarks == []
    assert (
        max(abs(s.recomputed - s.stated) for s in found.statements if s.where != ledger and s.stated == s.stated)
        < 1e-12
    )


def change(folder: Path, *keys: str, by: float) -> None:
    facts = read_json(folder / "score.json")
    block = facts
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] += by
    write_json(folder / "score.json", facts)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (("oof", "blend", "dataset_miou"), "oof, blend: dataset_miou is"),
        (("oof", "blend", "pixel_accuracy"), "oof, blend: pixel_accuracy is"),
        (("oof", "blend", "per_class", "car"), "oof, blend: IoU of car is"),
        (("test", "blend", "dataset_miou"), "test, blend: dataset_miou is"),
    ],
)
def test_a_number_that_is_off_by_more_than_1e_9_is_named(submission, keys, what):
    change(submission, *keys, by=5e-10)
    require_equal(recompute(submission).statements)
    change(submission, *keys, by=1e-9)
    with pytest.raises(FoldsegError, match=rf"1 of \d+ numbers differ from what is stored:\n  score.json {what}"):
        require_equal(recompute(submission).statements)


def test_a_changed_label_map_shows_everywhere(world, submission):
    label_png.write_png(submission / "oof" / f"{world.ids[0]}.png", LABELS.decode(world.prediction(1.0)))
    wrong = {s.what for s in recompute(submission).statements if s.is_wrong}
    assert {"dataset_miou", "pixel_accuracy", "interval, low", "oof", "IoU of car"} <= wrong
    assert "IoU of building" not in wrong and "test" not in wrong


def test_the_ledgers_six_decimals_are_compared_as_such(submission):
    ledger = submission.parent / "ledger.csv"
    lines = ledger.read_text().splitlines()
    oof = next(s.recomputed for s in recompute(submission).statements if s.what == "oof")
    for wrong, value in ((True, oof + 1e-6), (False, oof)):
        changed = [lines[0], lines[1], lines[2].replace(f"{oof:.6f}", f"{value:.6f}"), lines[3]]
        ledger.write_text("\n".join(changed) + "\n")
        assert [s.what for s in recompute(submission).statements if s.is_wrong] == ["oof"] * wrong


def test_what_cannot_be_recomputed_is_said(submission):
    (submission.parent / "ledger.csv").unlink()
    found = recompute(submission)
    assert found.remarks == [f"{submission.parent / 'ledger.csv'}: has no row of both with dataset_miou"]
    config = submission / "config.yaml"
    save(load_ensemble(config, ["steps=[thresholds]", "submission=signate_json"]), config)
    facts = read_json(submission / "score.json")
    facts.pop("test")
    facts["oof"]["blend + thresholds"] = facts["oof"]["blend"]
    write_json(submission / "score.json", facts)
    found = recompute(submission)
    assert found.statements == [] and "categories that overlap" in found.remarks[0]


@pytest.mark.parametrize(
    ("stated", "found", "tolerance", "wrong"),
    [
        (0.5, 0.5 + 5e-10, 1e-9, False),
        (0.5, 0.5 + 2e-9, 1e-9, True),
        (0.5, 0.6, None, False),
        (math.nan, math.nan, 1e-9, False),
        (math.nan, 0.5, 1e-9, True),
        (0.5, math.nan, 1e-9, True),
    ],
)
def test_when_a_statement_is_wrong(stated, found, tolerance, wrong):
    assert Statement("there", "it", stated, found, tolerance).is_wrong == wrong


def test_the_script_shows_everything_and_fails_where_numbers_differ(submission, command_line):
    done = command_line.run("verify", submission)
    assert done.status == 0, done.stderr
    assert done.stdout == format_recomputed(recompute(submission)) + "\n"
    assert done.stdout.startswith("both: 6 OOF images in 6 groups")
    change(submission, "oof", "blend", "dataset_miou", by=0.01)
    done = command_line.run("verify", submission)
    assert done.status == 1
    assert "error: 1 of" in done.stderr and "score.json oof, blend: dataset_miou is" in done.stderr
    assert "score.json oof, blend: dataset_miou " in done.stdout

"""A score of one's own from training to a submission, through the commands; a changed file is noticed."""

import pandas as pd
import pytest

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.ensemble.run import predict_ensemble
from foldseg.errors import FoldsegError
from foldseg.files import read_json
from foldseg.training.fit import train_fold
from tiny_demo import REPOSITORY, TinyDemo

SCORE = '''
from foldseg.scoring.intervals import Ratios


def found(counts, labels):
    """Return F3 over the scored classes."""
    shared, truth, predicted = counts[:, labels.scored].transpose(2, 0, 1)
    return Ratios(10 * shared, 9 * truth + predicted)
'''


def test_it_is_fitted_on_reported_verified_and_noticed_if_it_changes(
    demo: TinyDemo, command_line: CommandLine, tmp_path
):
    path = tmp_path / "my_scores.py"
    path.write_text(SCORE)
    name = f"{path}:found"
    result = predict_ensemble(demo.ensemble(f"score={name}", "name=own", "steps=[bias, thresholds]"))
    stages = read_json(result.folder / "score.json")["oof"]
    assert all(name in stage and len(stage["interval"]) == 2 for stage in stages.values())
    ledger = pd.read_csv(demo.root / "submissions/ledger.csv").set_index("name")
    assert ledger["score"]["own"] == name and 0 < ledger["oof"]["own"] <= 1
    verified = command_line.run("verify", result.folder)
    assert verified.status == 0 and name in verified.said, verified.said
    compared = command_line.run("compare", demo.root / "runs/toy_full", result.folder, "--score", name)
    assert compared.status == 0 and compared.said.startswith(f"{name} on 24 OOF images"), compared.said

    path.write_text(SCORE.replace("10 * shared", "9 * shared"))
    changed = command_line.run("verify", result.folder)
    assert changed.status == 1 and f"changed since: the file of score {name}" in changed.stderr, changed.stderr
    path.unlink()
    missing = command_line.run("verify", result.folder)
    assert missing.status == 1 and f"{path}: no such file" in missing.stderr and "Traceback" not in missing.stderr


def test_a_run_monitors_it_and_remembers_its_file(demo: TinyDemo, tmp_path):
    path = tmp_path / "my_scores.py"
    path.write_text(SCORE)
    name = f"{path}:found"
    more = [f"monitor={name}", f"runs={tmp_path}", "schedule.epochs=2", "validate_every=1"]
    experiment = load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", [*demo.overrides, *more])
    run = train_fold(experiment, 0)
    log, summary = pd.read_csv(run.metrics), read_json(run.summary)
    assert summary["monitor"] == name and summary["best"] == pytest.approx(log[name].max())
    assert len(read_json(run.provenance)["sessions"][0]["own_score"]) == 64
    path.write_text(SCORE.replace("Ratios(", "len("))
    with pytest.raises(FoldsegError, match=r"monitor: .*found: raises on an example: TypeError"):
        train_fold(
            load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", [*demo.overrides, *more, "name=b"]), 0
        )


def test_a_submission_is_scored_by_it(demo: TinyDemo, command_line: CommandLine, tmp_path):
    (tmp_path / "my_scores.py").write_text(SCORE)
    words = [word for word in demo.overrides if word.startswith("data.")]
    name = f"{tmp_path / 'my_scores.py'}:found"
    done = command_line.run(
        "score", REPOSITORY / "configs/data/toy_city.yaml", demo.result.folder / "oof", *words, "--score", name
    )
    assert done.status == 0 and name in done.said and "dataset_miou " not in done.said, done.said
    wrong = command_line.run(
        "score", REPOSITORY / "configs/data/toy_city.yaml", demo.result.folder / "oof", "--score", "x"
    )
    assert wrong.status == 2 and "no FILE.py:FUNCTION" in wrong.stderr.replace("\n", " ")

"""What an ensemble and its runs state is recomputed from what they left on disk, to 1e-9."""

import shutil
from pathlib import Path

import pytest

from command.line import CommandLine
from foldseg.report.compare import OVERALL, compare_sources
from foldseg.report.recompute import recompute, require_equal
from foldseg.scoring.scores import SCORES
from tiny_demo import TinyDemo


def test_every_number_of_the_final_stage_and_of_the_ledger_is_found_again(demo: TinyDemo):
    found = recompute(demo.result.folder)
    require_equal(found.statements)
    whats = {s.what for s in found.statements}
    assert {"dataset_miou", "image_mean_iou_present", "interval, low", "interval, high", "oof", "oof_low"} <= whats
    assert found.remarks == []
    assert all(s.tolerance is not None for s in found.statements)


def test_stores_score_nearly_what_validation_did(demo: TinyDemo):
    """Maps are quantised, and few of their pixels change class."""
    found = recompute(demo.root / "runs/toy_full")
    assert len(found.statements) == 2 * len(SCORES)
    assert max(abs(s.recomputed - s.stated) for s in found.statements) < 0.005


def test_members_and_blend_are_compared_as_they_were_scored(demo: TinyDemo):
    compared = compare_sources([demo.root / "runs/toy_full", demo.root / "runs/toy_crop", demo.result.folder])
    scores = compared.table[compared.table["class"] == OVERALL].set_index("source")["score"]
    assert compared.left_out == {"toy_full": 0, "toy_crop": 0, "toy": 0}
    assert scores["toy"] == demo.result.scores["oof"]["blend + clean_up"]["dataset_miou"]


def test_a_submission_has_one_interval_whoever_is_asked(demo: TinyDemo):
    compared = compare_sources([demo.root / "runs/toy_full", demo.result.folder]).table
    row = compared[(compared["class"] == OVERALL) & (compared["source"] == "toy")].iloc[0]
    assert (row["low"], row["high"]) == recompute(demo.result.folder).scores["dataset_miou"].interval()


@pytest.mark.parametrize("content", ["{}", None])
def test_a_submission_that_is_not_what_was_written_is_named(
    command_line: CommandLine, demo: TinyDemo, tmp_path: Path, content: str | None
):
    copied = Path(shutil.copytree(demo.root / "submissions", tmp_path / "submissions"))
    file = copied / "toy/submission.json"
    assert command_line.run("verify", copied / "toy").status == 0
    file.unlink()
    if content is not None:
        file.write_text(content)
    done = command_line.run("verify", copied / "toy")
    assert done.status == 1 and f"{file}: is not what foldseg ensemble wrote there; run it again" in done.stderr


def test_label_maps_that_are_not_those_that_were_scored_are_told(
    command_line: CommandLine, demo: TinyDemo, tmp_path: Path
):
    copied = Path(shutil.copytree(demo.root / "submissions/toy", tmp_path / "submissions/toy"))
    first, second = sorted((copied / "oof").glob("*.png"))[:2]
    shutil.copy(second, first)
    words = "compare", copied, demo.root / "runs/toy_full"
    done = command_line.run(*words)
    assert done.status == 0 and f"{copied}: holds other label maps than those that were scored" in done.stderr
    assert command_line.run("verify", copied).status == 1

"""The ledger as a table and a picture, and its script."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from command.line import CommandLine, Finished
from foldseg.errors import FoldsegError
from foldseg.report.figures import render_png
from foldseg.report.ledger import (
    compute_rank_correlation,
    describe_correlation,
    draw_ledger,
    format_ledger,
    select_answered,
)
from foldseg.submission.ledger import append_row, read_ledger


def write(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    """(name, score, OOF, leaderboard); OOF intervals reach 0.02 to either side."""
    for name, score, oof, leaderboard in rows:
        ends = {"oof_low": f"{float(oof) - 0.02:.2f}", "oof_high": f"{float(oof) + 0.02:.2f}"} if oof else {}
        append_row(
            path, {"name": name, "score": score, "oof": oof, "leaderboard": leaderboard, "date": "2026-11-27T01"} | ends
        )
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Of four answered rows two are in the wrong order; then one of another score, one open, one with a remark."""
    rows = [
        ("a", "s", "0.60", "0.58"),
        ("b", "s", "0.61", "0.60"),
        ("c", "s", "0.62", "0.59"),
        ("d", "s", "0.63", "0.61"),
    ]
    rows += [("e", "t", "0.5", "0.4"), ("f", "s", "0.7", ""), ("g", "s", "0.7", "0.5, place 3")]
    return write(tmp_path / "ledger.csv", rows)


def test_only_rows_with_a_number_count(ledger: Path) -> None:
    rows = select_answered(read_ledger(ledger))
    assert rows["name"].tolist() == ["a", "b", "c", "d", "e"]
    assert rows["row"].tolist() == [1, 2, 3, 4, 5]
    assert rows.loc[0, ["oof", "low", "high", "leaderboard"]].tolist() == [0.6, 0.58, 0.62, 0.58]


def test_the_rank_correlation_by_hand(ledger: Path) -> None:
    """Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15) = 0.8."""
    rows = select_answered(read_ledger(ledger))
    four = rows[rows["score"] == "s"]
    assert compute_rank_correlation(four) == pytest.approx(0.8)
    assert describe_correlation(four, "s") == "s: Spearman rank correlation 0.80 (4 submissions)"
    assert compute_rank_correlation(four.assign(leaderboard=-four["oof"])) == pytest.approx(-1)


def test_too_few_rows_or_equal_ones_have_none(ledger: Path) -> None:
    rows = select_answered(read_ledger(ledger))
    assert np.isnan(compute_rank_correlation(rows.head(2)))
    assert describe_correlation(rows.head(2), "s") == "s: 2 submission(s), too few for a rank correlation (it needs 3)"
    equal = rows.head(3).assign(leaderboard=0.5)
    assert "the same score have no rank correlation" in describe_correlation(equal, "s")


def test_the_table_has_a_line_per_row(ledger: Path) -> None:
    head, _, first, *rest = format_ledger(read_ledger(ledger)).splitlines()
    assert head.split()[:4] == ["row", "name", "data", "date"]
    assert first.split() == ["1", "a", "-", "2026-11-27", "-", "-", "-", "s", "0.60", "0.58", "to", "0.62", "-", "0.58"]
    assert len(rest) == 6 and rest[-1].endswith("0.5, place 3")


def test_the_picture_has_every_answered_row(ledger: Path) -> None:
    figure = draw_ledger(read_ledger(ledger))
    (axis,) = figure.axes
    assert sorted(text.get_text() for text in axis.texts) == ["1", "2", "3", "4", "5"]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "4  d" in legends and "s: Spearman rank correlation 0.80 (4 submissions)" in legends
    assert "t: 1 submission(s), too few for a rank correlation (it needs 3)" in legends
    assert cv2.imdecode(np.frombuffer(render_png(figure), np.uint8), cv2.IMREAD_COLOR) is not None


def test_without_any_answer_there_is_no_picture(tmp_path: Path) -> None:
    table = read_ledger(write(tmp_path / "ledger.csv", [("a", "s", "0.6", "")]))
    with pytest.raises(FoldsegError, match="has no leaderboard scores yet"):
        draw_ledger(table)


def test_the_script_lists_adds_and_draws(ledger: Path, command_line: CommandLine, tmp_path: Path) -> None:
    def run(*words: str) -> Finished:
        return command_line.run("ledger", "--ledger", ledger, *words)

    listed = run()
    assert listed.status == 0
    assert listed.stdout.splitlines()[-2:] == [
        "s: Spearman rank correlation 0.80 (4 submissions)",
        "t: 1 submission(s), too few for a rank correlation (it needs 3)",
    ]
    assert run("add-score", "f", "0.65").status == 0
    assert read_ledger(ledger)["leaderboard"].tolist()[5] == "0.65"
    refused = run("add-score", "f", "0.7", "--row", "6")
    assert refused.status == 1 and "--replace" in refused.stderr
    assert run("plot", str(tmp_path / "out.png")).status == 0
    assert cv2.imread(str(tmp_path / "out.png")) is not None

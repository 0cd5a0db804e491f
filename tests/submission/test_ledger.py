"""The ledger of submissions."""

from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.submission.ledger import COLUMNS, add_score, append_row, read_ledger

ROW = {"name": "first", "members": "a*1 b*0.5", "score": "dataset_miou", "oof": "0.710000", "oof_low": "nan"}


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    table = read_ledger(tmp_path / "ledger.csv")
    assert (len(table), list(table.columns)) == (0, COLUMNS)


def test_rows_are_added_at_the_end_and_what_is_unknown_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    append_row(path, ROW)
    append_row(path, ROW | {"name": "second"})
    assert path.read_text() == (
        "name,data,date,git_commit,members,folds,tta,labels,steps,score,oof,oof_low,oof_high,test,leaderboard\n"
        "first,,,,a*1 b*0.5,,,,,dataset_miou,0.710000,nan,,,\n"
        "second,,,,a*1 b*0.5,,,,,dataset_miou,0.710000,nan,,,\n"
    )


def test_what_was_written_by_hand_stays_as_it_is(tmp_path: Path) -> None:
    """Cells are text: 0.70 does not become 0.7, 007 not 7, NA not nothing."""
    path = tmp_path / "ledger.csv"
    line = 'first,,,007,a,0 1,,,,dataset_miou,0.70,NA,1e3,,"0.50, place 3"\n'
    path.write_text(",".join(COLUMNS) + "\n" + line)
    append_row(path, ROW)
    assert path.read_text().splitlines(keepends=True)[1] == line
    assert read_ledger(path)["leaderboard"].tolist() == ["0.50, place 3", ""]


def test_a_ledger_of_an_older_version_has_no_names_of_data(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    old = [column for column in COLUMNS if column != "data"]
    path.write_text(",".join(old) + "\nfirst,,007,a,0 1,,,,dataset_miou,0.70,,,,\n")
    assert read_ledger(path)["data"].tolist() == [""]
    append_row(path, ROW | {"data": "camvid"})
    assert read_ledger(path)["data"].tolist() == ["", "camvid"]
    assert read_ledger(path)["git_commit"].tolist() == ["007", ""]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_ledger_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.csv"
    path.write_bytes(content)
    with pytest.raises(
        FoldsegError, match=r"ledger\.csv: (is not a CSV|is not text|should have the columns name, data, date)"
    ):
        append_row(path, ROW)
    assert path.read_bytes() == content


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Rows first, second, first."""
    path = tmp_path / "ledger.csv"
    for name in ("first", "second", "first"):
        append_row(path, ROW | {"name": name})
    return path


def leaderboard(path: Path) -> list[str]:
    return read_ledger(path)["leaderboard"].tolist()


def test_the_leaderboards_answer_goes_to_the_latest_row(ledger: Path) -> None:
    before = ledger.read_text()
    assert add_score(ledger, "first", "0.6520") == 3
    assert leaderboard(ledger) == ["", "", "0.6520"]
    assert ledger.read_text() == before[:-1] + "0.6520\n"  # nothing else has changed
    assert add_score(ledger, "second", "71") == 2
    assert add_score(ledger, "first", "-0.5", row=1) == 1
    assert leaderboard(ledger) == ["-0.5", "71", "0.6520"]


def test_an_answer_is_not_overwritten_unless_that_is_asked_for(ledger: Path) -> None:
    add_score(ledger, "first", "0.652")
    add_score(ledger, "first", "0.652")  # the same again
    with pytest.raises(FoldsegError, match=r"row 3 \(first\) has the leaderboard score 0\.652; --replace it"):
        add_score(ledger, "first", "0.7")
    assert leaderboard(ledger) == ["", "", "0.652"]
    add_score(ledger, "first", "0.7", replace=True)
    assert leaderboard(ledger) == ["", "", "0.7"]


@pytest.mark.parametrize(
    ("name", "score", "row", "message"),
    [
        ("frist", "0.5", None, r"has no submission frist; near to it: first$"),
        ("other", "0.5", None, r"has no submission other; near to it: first, second$"),
        ("second", "0.5", 3, r"row 3 is not one of second; these are 2$"),
        ("first", "0.5", 0, r"row 0 is not one of first; these are 1, 3$"),
        ("first", "good", None, r"'good' is not a score"),
        ("first", "nan", None, r"'nan' is not a score"),
    ],
)
def test_what_cannot_be_filled_in_is_said(ledger: Path, name: str, score: str, row: int | None, message: str) -> None:
    with pytest.raises(FoldsegError, match=message):
        add_score(ledger, name, score, row)
    assert leaderboard(ledger) == [""] * 3


def test_a_ledger_without_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="has no submission first; it has no rows yet"):
        add_score(tmp_path / "ledger.csv", "first", "0.5")

"""The ledger of submissions."""

from pathlib import Path

import pytest

from foldseg.errors import FoldsegError
from foldseg.submission.ledger import COLUMNS, append, read_ledger

ROW = {"name": "first", "members": "a*1 b*0.5", "score": "dataset_miou", "oof": "0.710000", "oof_low": "nan"}


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    table = read_ledger(tmp_path / "ledger.csv")
    assert (len(table), list(table.columns)) == (0, COLUMNS)


def test_rows_are_added_at_the_end_and_what_is_unknown_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    append(path, ROW)
    append(path, ROW | {"name": "second"})
    assert path.read_text() == (
        "name,date,git_commit,members,folds,tta,labels,steps,score,oof,oof_low,oof_high,test,leaderboard\n"
        "first,,,a*1 b*0.5,,,,,dataset_miou,0.710000,nan,,,\n"
        "second,,,a*1 b*0.5,,,,,dataset_miou,0.710000,nan,,,\n"
    )


def test_what_was_written_by_hand_stays_as_it_is(tmp_path: Path) -> None:
    """Cells are text: 0.70 does not become 0.7, 007 not 7, NA not nothing."""
    path = tmp_path / "ledger.csv"
    line = 'first,,007,a,0 1,,,,dataset_miou,0.70,NA,1e3,,"0.50, place 3"\n'
    path.write_text(",".join(COLUMNS) + "\n" + line)
    append(path, ROW)
    assert path.read_text().splitlines(keepends=True)[1] == line
    assert read_ledger(path)["leaderboard"].tolist() == ["0.50, place 3", ""]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_ledger_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.csv"
    path.write_bytes(content)
    with pytest.raises(FoldsegError, match=r"ledger\.csv: (is not a CSV|should have the columns name, date)"):
        append(path, ROW)
    assert path.read_bytes() == content

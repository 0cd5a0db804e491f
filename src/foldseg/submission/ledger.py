"""The ledger: one row per submission, with a column for the leaderboard's score. The file is committed to git."""

import math
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import locked, write_text
from foldseg.inputs import is_absent, read_csv

COLUMNS = [
    "name", "data", "date", "git_commit", "members", "folds", "tta", "labels", "steps",
    "score", "oof", "oof_low", "oof_high", "test", "leaderboard",
]  # fmt: skip


def read_ledger(path: Path) -> pd.DataFrame:
    """Read the ledger. Every cell is the text in the file. An empty table if there is no ledger yet."""
    if is_absent(path):
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    table = read_csv(path)
    if list(table.columns) == [column for column in COLUMNS if column != "data"]:  # of an older version
        table.insert(1, "data", "")
    if list(table.columns) != COLUMNS:
        raise FoldsegError(f"{path}: should have the columns {', '.join(COLUMNS)}; has {shorten(table.columns)}")
    return table


def append_row(path: Path, row: dict[str, str]) -> None:
    """Add a row at the end. Columns that `row` lacks stay empty, e.g. the leaderboard's score."""
    if unknown := set(row) - set(COLUMNS):
        raise ValueError(f"the ledger has no columns {sorted(unknown)}")
    with locked(path, wait=True):
        table = pd.concat([read_ledger(path), pd.DataFrame([row], columns=COLUMNS, dtype="str")])
        write_text(path, table.fillna("").to_csv(index=False, lineterminator="\n"))


def add_score(path: Path, name: str, score: str, row: int | None = None, replace: bool = False) -> int:
    """Write the leaderboard's score, as it is given, into a submission's row. Return the row's number, from 1.

    The row is the submission's latest, or number `row`. FoldsegError when the score is no number, when the ledger has
    no such row, and, without `replace`, when the row has another score.
    """
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FoldsegError(f"{score!r} is not a score; give a number such as 0.652")
    with locked(path, wait=True):
        table = read_ledger(path)
        index = _find_row(path, table, name, row)
        old_score = str(table.loc[index, "leaderboard"])
        if old_score not in ("", score) and not replace:
            raise FoldsegError(f"{path}: row {index + 1} ({name}) has the leaderboard score {old_score}; --replace it?")
        table.loc[index, "leaderboard"] = score
        write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return index + 1


def _find_row(path: Path, table: pd.DataFrame, name: str, number: int | None) -> int:
    """Return the index of a submission's latest row, or of row `number`, which must be one of the submission."""
    rows = table.index[table["name"] == name].tolist()
    if not rows:
        near = get_close_matches(name, table["name"].unique(), 3) or sorted(table["name"].unique())
        hint = f"near to it: {shorten(near)}" if near else "it has no rows yet"
        raise FoldsegError(f"{path}: has no submission {name}; {hint}")
    if number is None:
        return int(rows[-1])
    if number - 1 not in rows:
        raise FoldsegError(f"{path}: row {number} is not one of {name}; these are {shorten(i + 1 for i in rows)}")
    return number - 1

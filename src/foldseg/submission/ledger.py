"""The ledger: one row per submission, committed, with a column for what the leaderboard said."""

import math
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from foldseg.data.samples import shorten
from foldseg.errors import FoldsegError
from foldseg.files import locked, write_text
from foldseg.inputs import is_absent, read_csv

COLUMNS = [
    "name", "date", "git_commit", "members", "folds", "tta", "labels", "steps",
    "score", "oof", "oof_low", "oof_high", "test", "leaderboard",
]  # fmt: skip


def read_ledger(path: Path) -> pd.DataFrame:
    """Read the ledger, every cell as it is written; an empty table when there is none yet."""
    if is_absent(path):
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    table = read_csv(path)
    if list(table.columns) != COLUMNS:
        raise FoldsegError(f"{path}: should have the columns {', '.join(COLUMNS)}; has {shorten(table.columns)}")
    return table


def append(path: Path, row: dict[str, str]) -> None:
    """Add a row at the end; columns that `row` lacks stay empty (the leaderboard's answer, at first)."""
    if unknown := set(row) - set(COLUMNS):
        raise ValueError(f"the ledger has no columns {sorted(unknown)}")
    with locked(path, wait=True):
        table = pd.concat([read_ledger(path), pd.DataFrame([row], columns=COLUMNS, dtype="str")])
        write_text(path, table.fillna("").to_csv(index=False, lineterminator="\n"))


def add_score(path: Path, name: str, score: str, row: int | None = None, replace: bool = False) -> int:
    """Write what the leaderboard said into a submission's row: its latest, or row number `row`, from 1.

    The score is written as it is given. Returns the row's number. FoldsegError when the score is no number, when the
    ledger has no such row, and, unless it is to `replace` it, when the row has another score.
    """
    try:
        given = float(score)
    except ValueError:
        given = math.nan
    if not math.isfinite(given):
        raise FoldsegError(f"{score!r} is not a score; give a number such as 0.652")
    with locked(path, wait=True):
        table = read_ledger(path)
        index = _row(path, table, name, row)
        known = str(table.loc[index, "leaderboard"])
        if known not in ("", score) and not replace:
            raise FoldsegError(f"{path}: row {index + 1} ({name}) has the leaderboard score {known}; --replace it?")
        table.loc[index, "leaderboard"] = score
        write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return index + 1


def _row(path: Path, table: pd.DataFrame, name: str, number: int | None) -> int:
    """Index of the latest row of a name, or of row `number`, which has to be of that name."""
    own = table.index[table["name"] == name].tolist()
    if not own:
        near = get_close_matches(name, table["name"].unique(), 3) or sorted(table["name"].unique())
        hint = f"near to it: {shorten(near)}" if near else "it has no rows yet"
        raise FoldsegError(f"{path}: has no submission {name}; {hint}")
    if number is None:
        return int(own[-1])
    if number - 1 not in own:
        raise FoldsegError(f"{path}: row {number} is not one of {name}; these are {shorten(i + 1 for i in own)}")
    return number - 1

"""The ledger: one row per submission, committed, with a column for what the leaderboard said."""

from pathlib import Path

import pandas as pd

from foldseg.errors import FoldsegError
from foldseg.files import locked, write_text

COLUMNS = [
    "name", "date", "git_commit", "members", "folds", "tta", "labels", "steps",
    "score", "oof", "oof_low", "oof_high", "test", "leaderboard",
]  # fmt: skip


def read_ledger(path: Path) -> pd.DataFrame:
    """Read the ledger, every cell as it is written; an empty table when there is none yet."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise FoldsegError(f"{path}: is not a CSV ({error})") from error
    if list(table.columns) != COLUMNS:
        raise FoldsegError(f"{path}: should have the columns {', '.join(COLUMNS)}; has {', '.join(table.columns)}")
    return table


def append(path: Path, row: dict[str, str]) -> None:
    """Add a row at the end; columns that `row` lacks stay empty (the leaderboard's answer, at first)."""
    if unknown := set(row) - set(COLUMNS):
        raise ValueError(f"the ledger has no columns {sorted(unknown)}")
    with locked(path, wait=True):
        table = pd.concat([read_ledger(path), pd.DataFrame([row], columns=COLUMNS, dtype="str")])
        write_text(path, table.fillna("").to_csv(index=False, lineterminator="\n"))

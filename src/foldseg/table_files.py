"""Reading tables that others wrote: CSV with any separator, or Parquet. Every cell is text."""

import csv
import io
from pathlib import Path

import pandas as pd

from foldseg.errors import FoldsegError
from foldseg.inputs import check_is_file, read_text

_SEPARATORS = (",", ";", "\t", "|")
_PARQUET = (".parquet", ".pq")


def read_table(path: Path) -> pd.DataFrame:
    """Return the table of a CSV or Parquet file as text, without blanks around cells and names of columns.

    The separator of a CSV is the one of `,;|` and tab that its first row has most of. An empty cell is "". FoldsegError
    if the file is missing, damaged, has no row, or has a name of a column twice.
    """
    check_is_file(path)
    table = _read_parquet(path) if path.suffix.lower() in _PARQUET else _read_csv(path)
    table.columns = pd.Index([str(column).strip() for column in table.columns])
    repeated = table.columns[table.columns.duplicated()].tolist()
    if repeated:
        raise FoldsegError(f"{path}: has the column {repeated[0]!r} twice")
    if table.empty:
        raise FoldsegError(f"{path}: has no rows")
    return table.apply(lambda column: column.str.strip())


def _read_csv(path: Path) -> pd.DataFrame:
    text = read_text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    limit = csv.field_size_limit(max(len(text), 1 << 17))  # run lengths are longer than what Python allows
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except (csv.Error, ValueError) as error:  # there is no row at all
        raise FoldsegError(f"{path}: is not a CSV ({error})") from error
    finally:
        csv.field_size_limit(limit)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise FoldsegError(f"{path}: row {number} has {len(row)} columns, its header {len(header)}")
    return pd.DataFrame(rows, columns=header, dtype="str")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise FoldsegError(f"{path}: reading Parquet needs pyarrow: pip install 'foldseg[parquet]'") from error
    except Exception as error:  # pyarrow raises many kinds of errors for a damaged file
        raise FoldsegError(f"{path}: is not a readable Parquet file ({error})") from error
    return table.map(lambda cell: "" if pd.isna(cell) else str(cell)).astype("str")

"""A CSV with its cells as they are written: quotes and blanks stay, so that the same text can be written again."""

import re
from dataclasses import dataclass
from pathlib import Path

from foldseg.errors import FoldsegError
from foldseg.inputs import read_text

_CELL = re.compile(r'(?:\s*"(?:[^"]|"")*"\s*|[^,"]*)(?=,|$)')
"""A cell, with or without quotes, up to the next comma or the end of the line."""


@dataclass(frozen=True)
class CsvCells:
    """Header and rows of a CSV. A cell is the text between two commas, with its quotes and blanks."""

    header: list[str]
    rows: list[list[str]]

    def values(self, column: int) -> list[str]:
        """Return the values of a column, without quotes and without blanks around them."""
        return [cell_value(row[column]) for row in self.rows]

    def text(self) -> str:
        """Return the text of the file, with `\\n` at the end of each line."""
        return "".join(",".join(cells) + "\n" for cells in [self.header, *self.rows])


def cell_value(cell: str) -> str:
    """Return what a cell means: without quotes and without blanks around it."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        cell = cell[1:-1].replace('""', '"').strip()
    return cell


def read_cells(path: Path) -> CsvCells:
    """Read a CSV. FoldsegError unless it has a header, and every row has as many cells as the header."""
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if not lines:
        raise FoldsegError(f"{path}: is empty; expected a CSV with a header")
    cells = [_split(line.removesuffix("\r")) for line in lines]
    header, rows = cells[0], cells[1:]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise FoldsegError(
                f"{path}: has rows of more or fewer columns: row {number} has {len(row)}, its header {len(header)}"
            )
    return CsvCells(header, rows)


def _split(line: str) -> list[str]:
    """Return the cells of a line. A comma between quotes divides no cells."""
    if '"' not in line:
        return line.split(",")
    cells, end = [], -1
    while end < len(line):
        match = _CELL.match(line, end + 1)
        if match is None:
            return line.split(",")  # a lone quote is a part of its cell
        cells.append(match[0])
        end = match.end()
    return cells

"""The ledger as a table, and how well OOF scores predict the scores of the leaderboard."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from foldseg.errors import FoldsegError
from foldseg.report.tables import format_table

_FEWEST = 3
"""Submissions that a rank correlation needs. With two it is always 1 or -1."""


def format_ledger(table: pd.DataFrame) -> str:
    """Return the ledger as text, a line per row, numbered from 1. Columns that differ little are left out."""
    keys = ["name", "data", "date", "folds", "tta", "steps", "score", "oof"]
    header = ["row", *keys[:-1], "OOF", "95% interval", "test", "leaderboard"]
    rows = []
    for number, row in enumerate(table.to_dict("records"), 1):
        interval = f"{row['oof_low']} to {row['oof_high']}" if row["oof_low"] else ""
        cells = [row[key][:10] if key == "date" else row[key] for key in keys]
        rows.append([str(number), *cells, interval, row["test"], row["leaderboard"]])
    return format_table(header, [[cell or "-" for cell in row] for row in rows])


def select_answered(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a leaderboard score: row (from 1), name, score, oof, low, high, leaderboard.

    Numbers are float64; low and high are NaN if there is no interval.
    """
    columns = {"oof": "oof", "oof_low": "low", "oof_high": "high", "leaderboard": "leaderboard"}
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce").astype(np.float64).rename(columns=columns)
    rows = pd.concat([table[["name", "score"]], numbers], axis=1)
    rows.insert(0, "row", np.arange(1, len(table) + 1))
    return rows.dropna(subset=["oof", "leaderboard"])


def compute_rank_correlation(rows: pd.DataFrame) -> float:
    """Return Spearman's rank correlation of OOF and leaderboard scores, from -1 to 1.

    It is NaN for fewer than three rows and for equal scores.
    """
    if len(rows) < _FEWEST or rows["oof"].nunique() == 1 or rows["leaderboard"].nunique() == 1:
        return float("nan")
    from scipy.stats import spearmanr  # takes a second to import, and only this needs it

    return float(spearmanr(rows["oof"], rows["leaderboard"]).statistic)


def describe_correlation(rows: pd.DataFrame, score: str) -> str:
    """Say what the rank correlation of submissions is, or why there is none; `score`: what they were made for."""
    if len(rows) < _FEWEST:
        return f"{score}: {len(rows)} submission(s), too few for a rank correlation (it needs {_FEWEST})"
    value = compute_rank_correlation(rows)
    if np.isnan(value):
        return f"{score}: {len(rows)} submissions with the same score have no rank correlation"
    return f"{score}: Spearman rank correlation {value:.2f} ({len(rows)} submissions)"


def draw_ledger(table: pd.DataFrame) -> Figure:
    """Draw OOF scores with their 95% intervals against leaderboard scores: a colour per score, numbered by row.

    FoldsegError if no row has a leaderboard score.
    """
    rows = select_answered(table)
    if rows.empty:
        raise FoldsegError("the ledger has no leaderboard scores yet; foldseg ledger add-score NAME SCORE adds one")
    figure = Figure(figsize=(8.5, 5.5), layout="constrained")
    axis = figure.subplots()
    for number, (score, part) in enumerate(rows.groupby("score", sort=True)):
        error_bars = np.stack([part["oof"] - part["low"], part["high"] - part["oof"]])
        axis.errorbar(
            part["oof"],
            part["leaderboard"],
            xerr=np.nan_to_num(error_bars).clip(0),
            fmt="o",
            color=f"C{number}",
            ecolor="0.7",
            capsize=2,
            label=describe_correlation(part, str(score)),
        )
    names = []
    for row in rows.sort_values("leaderboard", ascending=False).to_dict("records"):
        point = (row["oof"], row["leaderboard"])
        axis.annotate(str(row["row"]), point, (4, 3), textcoords="offset points", fontsize=8)
        names.append(Line2D([], [], linestyle="none", label=f"{row['row']}  {row['name']}"))
    figure.legend(handles=names, loc="outside right upper", handlelength=0, fontsize=8, frameon=False, title="row")
    axis.set_xlabel("OOF score, 95% interval")
    axis.set_ylabel("leaderboard")
    axis.margins(0.12)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", fontsize=8, frameon=False)
    return figure

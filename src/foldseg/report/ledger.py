"""The ledger as a table, and OOF scores against what the leaderboard said: does the one foretell the other?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from foldseg.errors import FoldsegError
from foldseg.report.tables import text_table

_FEWEST = 3  # submissions that a rank correlation needs: with two it is 1 or -1


def ledger_text(table: pd.DataFrame) -> str:
    """Return the columns that tell submissions apart and how they scored, a line per row, numbered from 1."""
    header = ["row", "name", "date", "folds", "tta", "steps", "score", "OOF", "95% interval", "test", "leaderboard"]
    rows = []
    for number, row in enumerate(table.to_dict("records"), 1):
        interval = f"{row['oof_low']} to {row['oof_high']}" if row["oof_low"] else ""
        cells = [str(number), row["name"], row["date"][:10], row["folds"], row["tta"], row["steps"], row["score"]]
        rows.append([*cells, row["oof"], interval, row["test"], row["leaderboard"]])
    return text_table(header, [[cell or "-" for cell in row] for row in rows])


def answered(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that the leaderboard has answered with a number: row (from 1), name, score, oof, low, high, leaderboard.

    Numbers are float64; low and high are NaN where there is no interval.
    """
    columns = {"oof": "oof", "oof_low": "low", "oof_high": "high", "leaderboard": "leaderboard"}
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce").astype(np.float64).rename(columns=columns)
    whole = pd.concat([table[["name", "score"]], numbers], axis=1)
    whole.insert(0, "row", np.arange(1, len(table) + 1))
    return whole.dropna(subset=["oof", "leaderboard"])


def rank_correlation(rows: pd.DataFrame) -> float:
    """Spearman's rank correlation of OOF and leaderboard, -1 to 1; NaN for fewer than three rows or equal scores."""
    if len(rows) < _FEWEST or rows["oof"].nunique() == 1 or rows["leaderboard"].nunique() == 1:
        return float("nan")
    from scipy.stats import spearmanr  # takes a second to import, and only this needs it

    return float(spearmanr(rows["oof"], rows["leaderboard"]).statistic)


def correlation_text(rows: pd.DataFrame, score: str) -> str:
    """Say the rank correlation of the submissions of a score, or why there is none."""
    if len(rows) < _FEWEST:
        return f"{score}: {len(rows)} submission(s), too few for a rank correlation (it needs {_FEWEST})"
    value = rank_correlation(rows)
    if np.isnan(value):
        return f"{score}: {len(rows)} submissions with the same score have no rank correlation"
    return f"{score}: Spearman rank correlation {value:.2f} ({len(rows)} submissions)"


def ledger_figure(table: pd.DataFrame) -> Figure:
    """Draw OOF scores with their 95% intervals against the leaderboard's: a colour per score, numbered by row.

    FoldsegError when the leaderboard has not answered any row.
    """
    rows = answered(table)
    if rows.empty:
        raise FoldsegError("the ledger has no leaderboard scores yet; foldseg ledger add-score NAME SCORE adds one")
    figure = Figure(figsize=(8.5, 5.5), layout="constrained")
    axis = figure.subplots()
    for number, (score, part) in enumerate(rows.groupby("score", sort=True)):
        reach = np.stack([part["oof"] - part["low"], part["high"] - part["oof"]])
        axis.errorbar(
            part["oof"],
            part["leaderboard"],
            xerr=np.nan_to_num(reach).clip(0),
            fmt="o",
            color=f"C{number}",
            ecolor="0.7",
            capsize=2,
            label=correlation_text(part, str(score)),
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

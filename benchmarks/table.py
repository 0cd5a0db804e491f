"""The table that benchmarks print: what a user has today against foldseg, as ratios, held to floors where there are."""

from dataclasses import dataclass

HEADER = "| work | instead | foldseg | ratio | floor | met? |\n| --- | --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` None: there is nothing to hold it to."""

    work: str
    instead: str
    foldseg: str
    ratio: str
    floor: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        return f"| {self.work} | {self.instead} | {self.foldseg} | {self.ratio} | {self.floor} | {met} |"


def times_faster(work: str, instead: float, foldseg: float, floor: float | None = None) -> Row:
    """Row of two times in s."""
    ratio = instead / foldseg
    wanted = {"floor": f"{floor:g}x", "met": ratio >= floor} if floor else {}
    return Row(work, duration(instead), duration(foldseg), f"{ratio:.1f}x", **wanted)


def duration(seconds: float) -> str:
    """Say a time, in s or ms."""
    return f"{seconds:.1f} s" if seconds >= 2 else f"{1e3 * seconds:.{0 if seconds > 0.1 else 2}f} ms"


def check(same: bool, what: str) -> None:
    """End the benchmark when both sides do not give the same."""
    if not same:
        raise SystemExit(f"{what}: foldseg and what is measured beside it differ; their times cannot be compared")

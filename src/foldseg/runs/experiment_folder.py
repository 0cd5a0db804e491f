"""The folder of an experiment: the runs of its folds.

runs/<experiment>/fold_0 fold_1 ...
"""

from dataclasses import dataclass
from pathlib import Path

from foldseg.runs.run_folder import RunFolder

_FOLD = "fold_"


@dataclass(frozen=True)
class ExperimentFolder:
    """The runs of an experiment, a fold each. A folder of another name than fold_<number> is none of them."""

    path: Path

    @property
    def runs(self) -> dict[int, RunFolder]:
        """Fold -> its run, finished or not, in the order of the folds."""
        folders = [path for path in self.path.glob(f"{_FOLD}*") if path.is_dir()]
        numbers = {path.name.removeprefix(_FOLD): path for path in folders}
        runs = {int(number): RunFolder(path) for number, path in numbers.items() if number.isdecimal()}
        return dict(sorted(runs.items()))

    def open_runs(self) -> list[RunFolder]:
        """Return the runs in the order of the folds. FoldsegError that names one that is not finished."""
        return [RunFolder.open(run.path) for run in self.runs.values()]

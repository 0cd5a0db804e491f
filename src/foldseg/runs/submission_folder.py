"""The folder of a submission: what an ensemble made, scored and is to be handed in.

submissions/<ensemble>/config.yaml    the ensemble's settings
                       score.json     written last: its presence means finished
                       data.csv       hashes of the images and masks that it was made from
                       fitted.npz     what was fitted for its steps
                       oof            label maps of the OOF images
                       and the submission in the contest's own format
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen

from foldseg.config import Ensemble, load_ensemble
from foldseg.config.load import read_yaml
from foldseg.errors import FoldsegError
from foldseg.files import read_record

_STAGES = dict[str, dict[str, Any]]
_SCORES = {"score": str, "folds": list[int], "oof": Annotated[_STAGES, MinLen(1)], "steps": _STAGES}


@dataclass(frozen=True)
class SubmissionFolder:
    """Paths of a submission and what is read from them."""

    path: Path

    @staticmethod
    def open(path: Path) -> "SubmissionFolder":
        """Return a finished submission. FoldsegError when it is not finished."""
        submission = SubmissionFolder(path)
        if not submission.is_finished:
            raise FoldsegError(f"{path}: is not finished (score.json is missing); run foldseg ensemble again")
        return submission

    @property
    def config(self) -> Path:
        """The resolved configuration of the ensemble."""
        return self.path / "config.yaml"

    @property
    def scores(self) -> Path:
        """Scores of every stage, and what the submission was made from."""
        return self.path / "score.json"

    @property
    def sample_hashes(self) -> Path:
        """Hashes of the images and masks that the submission was made from."""
        return self.path / "data.csv"

    @property
    def fitted(self) -> Path:
        """What was fitted for the steps, and which of them are left out."""
        return self.path / "fitted.npz"

    @property
    def oof(self) -> Path:
        """The folder of the OOF label maps: PNGs of raw ids."""
        return self.path / "oof"

    @property
    def is_finished(self) -> bool:
        """Whether the ensemble came to its end."""
        return self.scores.is_file()

    @property
    def has_settings(self) -> bool:
        """Whether config.yaml holds an ensemble's settings. FoldsegError when it is no YAML mapping."""
        return self.config.is_file() and "members" in read_yaml(self.config)

    def read_settings(self) -> Ensemble:
        """Return the settings that the submission was made with."""
        return load_ensemble(self.config)

    def read_scores(self) -> dict[str, Any]:
        """Return the content of score.json. FoldsegError that names what is missing of it."""
        return read_record(self.scores, _SCORES, {"left_out": list[dict[str, Any]]})

"""The whole demo at a tiny size, once: two folds of three variants, ready to be blended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldseg.config import load_data, load_ensemble, load_experiment
from foldseg.config.schema import Ensemble
from foldseg.data.folds_file import make_folds_file
from foldseg.ensemble.run import EnsembleResult, predict_ensemble
from foldseg.inference.run_stores import predict_run
from foldseg.training.fit import train_fold

REPOSITORY = Path(__file__).parents[1]
VARIANTS = ("full", "crop", "resized")


@dataclass(frozen=True)
class TinyDemo:
    """Folders of the tiny demo, and what its ensemble returned."""

    root: Path
    config: Ensemble
    result: EnsembleResult
    overrides: list[str]

    def ensemble(self, *more: str) -> Ensemble:
        """Return the demo's ensemble with other settings."""
        return load_ensemble(REPOSITORY / "configs/ensembles/toy.yaml", [*ensemble_overrides(self.root), *more])


def data_overrides(root: Path) -> list[str]:
    city = "{kind: toy_city, width: 96, height: 64, train_frames: 24, test_frames: 4, seed: 1}"
    return [f"data.root={root / 'city'}", f"data.folds={root / 'folds.csv'}", f"data.dataset={city}"]


def ensemble_overrides(root: Path) -> list[str]:
    """Small, and without the CRF, which may not be built here: it has a test of its own."""
    folders = [f"runs={root / 'runs'}", f"submissions={root / 'submissions'}"]
    return [*folders, "workers=1", "bootstrap_samples=200", "steps=[{kind: clean_up, min_area: 4}]"]


def train_variants(root: Path, variants: Sequence[str] = VARIANTS) -> list[str]:
    """Train and predict every fold of some variants; return the overrides that were used."""
    overrides = [*data_overrides(root), f"runs={root / 'runs'}", "workers=0", "schedule.epochs=6", "validate_every=3"]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data_overrides(root)))
    for variant in variants:
        experiment = load_experiment(REPOSITORY / f"configs/experiments/toy_{variant}.yaml", overrides)
        for fold in (0, 1):
            predict_run(train_fold(experiment, fold))
    return overrides


def make_demo(root: Path) -> TinyDemo:
    """Train, predict, blend, submit."""
    overrides = train_variants(root)
    config = load_ensemble(REPOSITORY / "configs/ensembles/toy.yaml", ensemble_overrides(root))
    return TinyDemo(root, config, predict_ensemble(config), overrides)

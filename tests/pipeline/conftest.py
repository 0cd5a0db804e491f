"""The tiny demo, made once for all tests of the pipeline."""

import pytest
from tiny_demo import REPOSITORY, TinyDemo, ensemble_overrides, train_variants

from foldseg.config import load_ensemble
from foldseg.ensemble.run import predict_ensemble


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> TinyDemo:
    """Train, predict, blend, submit."""
    root = tmp_path_factory.mktemp("demo")
    overrides = train_variants(root)
    config = load_ensemble(REPOSITORY / "configs/ensembles/toy.yaml", ensemble_overrides(root))
    return TinyDemo(root, config, predict_ensemble(config), overrides)

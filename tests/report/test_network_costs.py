"""Networks side by side, with what was published of them."""

from pathlib import Path

import pandas as pd
import pytest

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.errors import FoldsegError
from foldseg.report.network_costs import PUBLISHED, format_costs, measure_networks

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs/experiments"


def test_every_published_network_has_a_config() -> None:
    for name in pd.read_csv(PUBLISHED, comment="#")["experiment"]:
        assert (CONFIGS / f"{name}.yaml").is_file(), name


def test_ours_stand_beside_the_published_figures(tmp_path: Path) -> None:
    """ResNet-18, FCN-16s: 11.185 million parameters with 11 classes, 10.91 there. A toy experiment has no others."""
    configs = [CONFIGS / "mentor_resnet18_fcn16.yaml", CONFIGS / "toy_full.yaml"]
    table = measure_networks([load_experiment(path) for path in configs], (64, 96), "cpu", PUBLISHED)
    assert table["experiment"].tolist() == ["mentor_resnet18_fcn16", "toy_full"]
    assert table["M parameters"][0] == pytest.approx(11.185, abs=0.001)
    assert table["M parameters published"][0] == 10.91
    lines = format_costs(table).splitlines()
    assert "11.18 (10.91)" in lines[2]
    assert lines[2].split()[-2:] == ["60.4", "-"]
    assert lines[3].split()[-2:] == ["-", "-"]
    assert "(" not in lines[3]


def test_a_size_that_does_not_fit_is_told() -> None:
    with pytest.raises(FoldsegError, match="size: 60 96 should be multiples of 16 for toy_full"):
        measure_networks([load_experiment(CONFIGS / "toy_full.yaml")], (60, 96), "cpu")


def test_the_script_prints_and_writes_the_table(command_line: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "costs.csv"
    words = CONFIGS / "toy_full.yaml", "--size", "32x32", "--device", "cpu", "--csv", out
    done = command_line.run("show-network", *words)
    assert done.status == 0, done.said
    assert done.stdout.splitlines()[0].split()[:3] == ["experiment", "M", "parameters"]
    assert pd.read_csv(out)["experiment"].tolist() == ["toy_full"]

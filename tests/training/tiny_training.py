"""The smallest training that the command line can be asked for: a tiny network on a tiny toy city."""

from collections.abc import Sequence
from pathlib import Path

from command.line import CommandLine, Finished, Started
from foldseg.config import load_data
from foldseg.data.folds_file import make_folds_file

REPOSITORY = Path(__file__).parents[2]
FULL = "configs/experiments/toy_full.yaml"
CROP = "configs/experiments/toy_crop.yaml"


def tiny_overrides(root: Path) -> list[str]:
    """Make 12 frames of 64x48 in two folds in `root`; return overrides that train on them for 2 epochs."""
    data = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.fold_count=2",
        "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 2, seed: 3}",
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", data))
    network = ["model.options.decoder_channels=[8, 8, 8, 8]", "schedule.epochs=2", "batch_size=2", "augment=none"]
    return [*data, *network, "workers=0", "validate_every=1", "early_stopping=null"]


def started(command_line: CommandLine, words: Sequence[object], config: str = FULL, **surroundings: object) -> Started:
    """Start a training of fold 0."""
    return command_line.start("train", config, "0", *words, **surroundings)  # type: ignore[arg-type]


def trained(command_line: CommandLine, words: Sequence[object], config: str = FULL, **surroundings: object) -> Finished:
    """Train fold 0 and wait for its end."""
    return started(command_line, words, config, **surroundings).wait(150)


def assert_refused(done: Finished, *texts: str) -> None:
    """It ended with one clear message that holds `texts`."""
    assert done.status == 1, done.said
    assert "Traceback" not in done.stderr, done.stderr
    message = done.stderr[done.stderr.index("error: ") :]
    assert message.count("error: ") == 1, message
    for text in texts:
        assert text in message, message

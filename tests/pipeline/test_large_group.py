"""An interval over groups promises too much where one group is a third of the images or more; that is said."""

import pandas as pd

from command.line import CommandLine
from tiny_demo import TinyDemo


def test_a_group_of_half_of_the_images_is_said_beside_intervals(demo: TinyDemo, command_line: CommandLine):
    path, source = demo.root / "folds.csv", demo.root / "runs/toy_full"
    original = path.read_text()
    assert "promise too much" not in command_line.run("verify", source).stderr
    folds = pd.read_csv(path, dtype="str")
    folds.loc[folds["fold"] == "0", "group"] = "the long drive"
    share = 100 * (folds["fold"] == "0").mean()
    try:
        path.write_text(folds.to_csv(index=False))
        for script, words in (("verify", [source]), ("compare", [source, demo.root / "runs/toy_crop"])):
            done = command_line.run(script, *words)
            assert done.status == 0, done.said
            assert f"group the long drive holds {share:.0f}% of the images: intervals promise too much" in done.stderr
    finally:
        path.write_text(original)

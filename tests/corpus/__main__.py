"""Write all bad files into a folder, to try them by hand: `PYTHONPATH=src:tests python -m corpus FOLDER`."""

import sys
from pathlib import Path

from corpus.good import GOOD
from corpus.kinds import bad_files


def write_all(folder: Path) -> list[Path]:
    """Write `folder/<kind>/<how it is bad>.<suffix>`, and the good file beside them; return the bad ones."""
    written = []
    for kind, (suffix, make) in GOOD.items():
        (folder / kind).mkdir(parents=True)
        good = make()
        (folder / kind / f"good{suffix}").write_bytes(good)
        for bad in bad_files(kind, good).values():
            path = folder / kind / f"{bad.name}{suffix}"
            bad.write(path)
            written.append(path)
    return written


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{len(write_all(Path(sys.argv[1])))} bad files")  # noqa: T201

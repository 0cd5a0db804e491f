"""Installs the packages of this bundle without internet, and gives the words behind it to foldseg.

usage: python run.py VERB WORDS...     e.g. python run.py predict-test submissions/x /kaggle/working/submission.csv

The file is `run.py` in bundles of `foldseg bundle`. It needs nothing but Python and pip. Packages that are there
already stay, if their version will do. Names such as submissions/x are those of the folder `project` of the bundle.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

STARTED = "FOLDSEG_STARTED"
"""Environment variable: when a notebook began, in seconds since 1970. A time limit counts from then on."""
PROJECT, WHEELS, REQUIREMENTS = "project", "wheels", "requirements.txt"
WORK = "foldseg_project"
"""The copy of the project that is worked in: the bundle may be on a disk that cannot be written."""


def main(words: Sequence[str]) -> int:
    """Install, copy the project, run foldseg with `words`; return its exit status."""
    os.environ.setdefault(STARTED, str(time.time()))
    bundle = Path(__file__).resolve().parent
    if not words:
        print(__doc__)
        return 2
    status = _install(bundle)
    if status:
        print("run.py: the packages could not be installed; see the messages of pip above", file=sys.stderr)
        return status
    project = Path.cwd() / WORK
    shutil.copytree(bundle / PROJECT, project, dirs_exist_ok=True)
    cache = os.environ.get("FOLDSEG_CACHE", str(project / ".cache"))
    environment = {**os.environ, "FOLDSEG_CACHE": cache}
    command = [sys.executable, "-m", "foldseg", "--project", str(project), *words]
    return subprocess.run(command, env=environment, check=False).returncode


def _install(bundle: Path) -> int:
    """Install the requirements and foldseg from the wheels alone; return pip's exit status."""
    offline = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-warn-script-location"]
    offline += ["--find-links", str(bundle / WHEELS), "--disable-pip-version-check"]
    requirements = subprocess.run([*offline, "-r", str(bundle / REQUIREMENTS)], check=False)
    if requirements.returncode:
        return requirements.returncode
    own = subprocess.run([*offline, "--no-deps", "--force-reinstall", "foldseg"], check=False)
    return own.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

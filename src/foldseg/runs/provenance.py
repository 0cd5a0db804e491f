"""Which code and which libraries make a result: the commit and the installed versions."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "albumentations",
    "opencv-python-headless", "numpy", "pandas", "scikit-learn",
)  # fmt: skip

_DECISIVE = (":/src", ":/scripts", ":/configs", ":/folds", ":/requirements.txt")  # a row in the ledger changes nothing


def git_commit() -> str:
    """Return the commit, `-dirty` if files that decide a result were changed since, "" outside of a repository."""

    def git(*words: str) -> str:
        here = str(Path(__file__).parent)
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + "-dirty" if commit and git("status", "--porcelain", "--", *_DECISIVE) else commit
    except OSError:
        return ""


def installed_version(name: str) -> str:
    """Return the version of a library, "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

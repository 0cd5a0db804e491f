"""The command `foldseg`: every script by its name, and configurations to start from, also from an installed wheel."""

import argparse
import runpy
import shutil
import sys
from importlib import metadata
from pathlib import Path

from foldseg import cli
from foldseg.errors import FoldsegError

VERBS = {
    "compare": "compare runs, experiments or submissions on their OOF images",
    "export_encoder": "write a run's encoder weights to a file",
    "export_onnx": "write a run's network as an ONNX file",
    "ledger": "show the ledger of submissions, note what the leaderboard said",
    "make_folds": "divide a data set into folds",
    "make_pseudo_labels": "label the test images with what an ensemble is sure of",
    "make_soup": "average a run's checkpoints",
    "make_submission": "convert colour PNGs to the AI Edge Contest's JSON, or back",
    "model_summary": "say what networks cost: parameters, multiply-adds, memory, latency",
    "predict_ensemble": "blend an ensemble, score it on OOF, write its submission",
    "predict_fold": "write a run's OOF and test predictions",
    "predict_images": "predict any pictures",
    "predict_video": "predict a video",
    "score": "score stored predictions anew, compare with what files state",
    "score_submission": "score a submission whose truth is known",
    "settings": "look up settings: names, values, defaults, meaning",
    "show_batch": "draw what a network is trained on",
    "summary_picture": "draw an ensemble at work",
    "train_fold": "train one fold of an experiment, or all",
    "tta_gains": "say what each view of test-time augmentation gains",
}
"""Name of a script -> what it does."""

_SHARED = "share/foldseg"  # where a wheel puts the folders below; see pyproject.toml
_COPIED = ("configs", "folds")


def main() -> None:
    """Run a script as `scripts/<verb>.py` would, or copy the configurations."""
    verb, words = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if verb in VERBS:
        script = shared_root() / "scripts" / f"{verb}.py"
        sys.argv = [str(script), *words]
        runpy.run_path(str(script), run_name="__main__")
    elif verb == "configs":
        cli.run(lambda: _configs(words))
    else:
        _parser().parse_args([verb])


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {verb:<20}{what}" for verb, what in {**VERBS, "configs": "copy configurations and folds"}.items()]
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("foldseg", epilog="verbs:\n" + "\n".join(lines), formatter_class=form)
    parser.add_argument("verb", choices=[*VERBS, "configs"], metavar="verb", help="what to do; see below")
    parser.add_argument("words", nargs="*", help="of the verb: foldseg VERB --help")
    return parser


def _configs(words: list[str]) -> None:
    parser = argparse.ArgumentParser("foldseg configs", description="Copy configurations and folds into a folder.")
    parser.add_argument("folder", type=Path, help="where the folders configs and folds are to be")
    folder = parser.parse_args(words).folder
    copy_configs(folder)
    print(f"{' and '.join(str(folder / name) for name in _COPIED)}: run foldseg in {folder}")  # noqa: T201


def copy_configs(folder: Path) -> None:
    """Copy `configs` and `folds` into a folder. FoldsegError when one of them is there, or it cannot be written."""
    for name in _COPIED:
        if (folder / name).exists():
            raise FoldsegError(f"{folder / name}: is there already; give another folder, or remove it")
    for name in _COPIED:
        try:
            shutil.copytree(shared_root() / name, folder / name)
        except OSError as error:
            raise FoldsegError(f"{folder / name}: could not be written: {error}") from error


def shared_root() -> Path:
    """Return the folder of scripts, configs and folds: of the repository, or where the wheel was installed."""
    repository = Path(__file__).parents[2]
    if (repository / "pyproject.toml").is_file() and (repository / "scripts").is_dir():
        return repository
    for file in metadata.files("foldseg") or ():
        if file.as_posix().endswith(f"{_SHARED}/scripts/train_fold.py"):
            return Path(str(file.locate())).resolve().parents[1]
    raise FoldsegError("foldseg is installed without its scripts and configurations; install its wheel again")


if __name__ == "__main__":
    main()

"""What all commands do alike: --help and wrong words at once, overrides anywhere, paths with `~`, readers that go."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer

from command.line import REPOSITORY, CommandLine
from foldseg.cli import arguments, prediction
from foldseg.cli.app import app
from foldseg.config.schema.names import DeviceName, PictureForm

VERBS = sorted(name for name in typer.main.get_command(app).commands)
FRESH = """
import io, sys, time
from contextlib import redirect_stderr, redirect_stdout
statuses, verb = [], sys.argv[1]
for words in (["--help"], ["--no-such-option"]):
    sys.argv = ["foldseg", verb, *words]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            from foldseg.cli.app import main
            main()
        except SystemExit as end:
            statuses.append(end.code)
    assert words == ["--help"] or "No such option" in err.getvalue()
heavy = [name for name in ("torch", "pandas", "cv2", "matplotlib") if name in sys.modules]
print(statuses, heavy, "fast" if time.process_time() < 1 else "slow")
"""


@pytest.mark.parametrize("verb", VERBS)
def test_help_and_wrong_words_are_answered_without_torch(verb: str) -> None:
    command = [sys.executable, "-c", FRESH, verb]
    for _ in range(3):  # other processes slow a processor down
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        if "slow" not in done.stdout:
            break
    assert done.stdout == "[0, 2] [] fast\n", done.stderr


def test_names_that_verbs_repeat_are_those_of_the_settings_and_registries() -> None:
    """Verbs have lists of their own, since importing the settings would make --help slow."""
    assert get_args(arguments.Device) == get_args(DeviceName)
    assert get_args(prediction.Form) == get_args(PictureForm)


@pytest.mark.parametrize("script", ["install", "demo", "train_fold"])
def test_shell_scripts_have_help_and_refuse_other_words(script: str) -> None:
    for words, status, says in ((["--help"], 0, "sage: "), (["--no-such-option"], 2, "--no-such-option")):
        command = ["bash", f"scripts/{script}.sh", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        assert done.returncode == status and says in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("score", ["configs/data/camvid.yaml", "/nowhere", "--size", "480x360", "data.no_such_key=1"]),
        ("convert", ["/nowhere", "x.json", "--no-check", "data.no_such_key=1"]),
        ("folds", ["configs/data/camvid.yaml", "--strict", "data.no_such_key=1"]),
        ("folds", ["--strict", "configs/data/camvid.yaml", "data.no_such_key=1"]),
        ("ensemble", ["configs/ensembles/toy.yaml", "--workers", "1", "no_such_key=1"]),
        ("pseudo-labels", ["configs/ensembles/toy.yaml", "--confidence", "0.5", "/nowhere/x", "no_such_key=1"]),
        ("show-ensemble", ["configs/ensembles/toy.yaml", "--image", "x", "/nowhere/x.png", "no_such_key=1"]),
        ("show-batch", ["configs/experiments/toy_crop.yaml", "--images", "2", "no_such_key=1"]),
        ("train", ["configs/experiments/toy_crop.yaml", "0", "no_such_key=1"]),
        ("train", ["configs/experiments/toy_crop.yaml", "no_such_key=1", "0"]),
        ("train", ["no_such_key=1", "configs/experiments/toy_crop.yaml", "0"]),
        ("pseudo-labels", ["configs/ensembles/toy.yaml", "no_such_key=1", "/nowhere/x", "--of", "car=0.5"]),
        ("train", ["no_such_key=1", "--accept-changed-data", "configs/experiments/toy_crop.yaml", "--", "0"]),
        ("show-batch", ["no_such_key=1", "--out", "a=1.png", "configs/experiments/toy_crop.yaml"]),
    ],
)
def test_overrides_stand_anywhere(command_line: CommandLine, script: str, words: list[str]) -> None:
    done = command_line.run(script, *words)
    assert done.status == 1 and "no_such_key (the command line): unknown key" in done.stderr


def project(folder: Path) -> Path:
    """A project with another folder, `notes`, in it; the command is given there."""
    (folder / "notes").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "configs", folder / "configs")
    (folder / "notes/my.yaml").write_text(
        "data:\n  dataset: {kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 1}\n"
        "  root: city\n  folds: folds.csv\n  fold_count: 2\n"
    )
    return folder


def test_what_is_written_is_where_the_command_is_given(command_line: CommandLine, tmp_path: Path) -> None:
    """What the project has of that name stays as it is."""
    home = project(tmp_path / "home")
    overrides = [f"data.{key}" for key in ("root=city", "folds=folds.csv", "fold_count=2")]
    overrides.append("data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 1}")
    assert command_line.run("folds", "my.yaml", cwd=home / "notes").status == 0
    batch = "show-batch", "configs/experiments/toy_full.yaml", *overrides, "--images", "1"
    assert command_line.run(*batch, cwd=home).status == 0
    drawn = (home / "batch.png").stat().st_mtime_ns
    for _ in range(2):
        assert command_line.run(*batch, cwd=home / "notes").status == 0
        assert (home / "batch.png").stat().st_mtime_ns == drawn
        assert (home / "notes/batch.png").is_file()
    assert command_line.run("init", "configs", cwd=home / "notes").status == 0
    assert (home / "notes/configs/configs").is_dir() and not (home / "configs/configs").exists()


def test_folds_with_the_line_ends_of_windows_are_the_same(command_line: CommandLine, tmp_path: Path) -> None:
    folds = project(tmp_path / "mine") / "folds.csv"
    for _ in range(2):
        done = command_line.run("folds", "notes/my.yaml", cwd=folds.parent)
        assert done.status == 0, done.stderr
        folds.write_bytes(folds.read_bytes().replace(b"\n", b"\r\n"))


def test_networks_are_shown_in_a_project_without_published_figures(command_line: CommandLine, tmp_path: Path) -> None:
    words = "show-network", "configs/experiments/toy_full.yaml", "--size", "64x64"
    done = command_line.run(*words, cwd=project(tmp_path / "mine"))
    assert done.status == 0 and "toy_full" in done.stdout, done.stderr


def test_a_stopped_copy_leaves_no_half_of_a_project(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line.run("init", "mine", cwd=tmp_path, limits={"RLIMIT_FSIZE": 2000})
    assert done.status == 1 and done.stderr.startswith("error: mine: could not be written: ")
    assert not list((tmp_path / "mine").iterdir())
    (tmp_path / "mine/folds").symlink_to(tmp_path / "nowhere")
    done = command_line.run("init", "mine", cwd=tmp_path)
    assert done.status == 1 and "mine/folds: is there already" in done.stderr
    assert not (tmp_path / "mine/configs").exists()


def test_the_projects_folder_may_begin_with_a_tilde(command_line: CommandLine, tmp_path: Path) -> None:
    home = project(tmp_path / "mine")
    done = command_line.run("--project=~/mine", "folds", "notes/my.yaml", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert done.status == 0, done.stderr
    assert (home / "folds.csv").is_file()


def test_a_folder_configs_of_something_else_is_no_project(command_line: CommandLine, tmp_path: Path) -> None:
    home = project(tmp_path / "mine")
    (home / "notes/configs/theirs").mkdir(parents=True)
    done = command_line.run("folds", "my.yaml", cwd=home / "notes")
    assert done.status == 0 and f"project: {home}" in done.stderr
    done = command_line.run("--project", "notes", "folds", "my.yaml", cwd=home)
    assert done.status == 1 and "is no project of foldseg: it has none of configs/data, " in done.stderr


def test_only_what_is_missing_is_said_to_be(command_line: CommandLine) -> None:
    done = command_line.run("convert")
    assert done.status == 2 and "Missing argument 'SOURCE'" in done.stderr


def test_a_path_may_begin_with_a_tilde(command_line: CommandLine, tmp_path: Path) -> None:
    """In overrides, YAML and options the shell does not fill it in."""
    (tmp_path / "home").mkdir()
    env = {"HOME": str(tmp_path / "home")}
    city = "data.dataset={kind: toy_city, width: 64, height: 48, train_frames: 12, test_frames: 1}"
    (tmp_path / "my.yaml").write_text("data: {dataset: toy_city, root: ~/city, folds: ~/folds.csv, fold_count: 2}\n")
    done = command_line.run("folds", tmp_path / "my.yaml", city, cwd=tmp_path, env=env)
    assert done.status == 0, done.stderr
    assert (tmp_path / "home/folds.csv").is_file() and (tmp_path / "home/city").is_dir()
    done = command_line.run("folds", "~/../my.yaml", "data.folds=~/more.csv", cwd=tmp_path, env=env)
    assert done.status == 0 and (tmp_path / "home/more.csv").is_file()
    done = command_line.run("ledger", "--ledger=~/none.csv", "plot", "~/x.txt", cwd=tmp_path, env=env)
    assert done.status == 1 and f"{tmp_path}/home/x.txt: should end in .png" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "my.yaml"]


@pytest.mark.parametrize("path", ["$HOME/x", "${DATA}/x", "a/$USER/x"])
def test_variables_in_paths_are_refused(command_line: CommandLine, tmp_path: Path, path: str) -> None:
    done = command_line.run("folds", REPOSITORY / "configs/data/camvid.yaml", f"data.root={path}", cwd=tmp_path)
    assert done.status == 1 and "variables such as $HOME are not filled in here" in done.stderr
    done = command_line.run("verify", path, cwd=tmp_path)
    assert done.status == 2 and "variables such as $HOME are not filled in here" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../elsewhere", "", ".hidden", "a/b"])
def test_a_name_is_no_path(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    done = command_line.run("train", "configs/experiments/toy_crop.yaml", "0", f"name='{name}'", f"runs={tmp_path}")
    assert done.status == 1 and "  name (the command line): " in done.stderr and list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_is_no_error(tmp_path: Path) -> None:
    header = "name,date,git_commit,members,folds,tta,labels,steps,score,oof,oof_low,oof_high,test,leaderboard"
    rows = [f"x{number},2025-01-01,,a*1,0,,,,dataset_miou,0.5,,,," for number in range(2000)]
    (tmp_path / "ledger.csv").write_text("\n".join([header, *rows]) + "\n")
    command = f'set -o pipefail; "{sys.executable}" -m foldseg ledger --ledger {tmp_path}/ledger.csv | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (141, "", 1)


@pytest.mark.parametrize("content", ["[" * 100_000, "a: " * 1000, "\x00", "- 1"])
def test_a_configuration_that_is_none_is_said(command_line: CommandLine, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    done = command_line.run("train", tmp_path / "x.yaml", "0", f"runs={tmp_path}")
    assert done.status == 1 and f"{tmp_path}/x.yaml: " in done.stderr and "Traceback" not in done.stderr

"""No command writes over what it reads, nor into a folder that it did not make; what it made itself it may replace."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command.line import REPOSITORY, CommandLine
from tiny_demo import TinyDemo, data_overrides, ensemble_overrides

TOY = "configs/ensembles/toy.yaml"


@pytest.fixture
def copied(demo: TinyDemo, tmp_path: Path) -> Path:
    """A copy of all of the demo's files, to be spoiled; runs know where their data lies, which is in the demo."""
    return Path(shutil.copytree(demo.root, tmp_path / "demo"))


def contents(folder: Path) -> dict[str, bytes]:
    hidden = {".toy.lock", ".ledger.csv.lock"}
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in hidden
    }


@pytest.fixture
def nothing_changes(copied: Path) -> Iterator[None]:
    before = contents(copied)
    yield
    assert contents(copied) == before


def spelled(path: Path) -> list[Path]:
    """Other names of a file: another spelling, a link, a hard link."""
    aside = path.parent.parent / "names"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    (aside / f"soft{path.suffix}").symlink_to(path)
    os.link(path, aside / f"hard{path.suffix}")
    return [path, path.parent / ".." / path.parent.name / path.name, *sorted(aside.iterdir())]


def refused(command_line: CommandLine, script: str, *words: object) -> str:
    done = command_line.run(script, *words)
    assert done.status == 1 and "Traceback" not in done.said, done.said
    assert done.stderr.count("error: ") == 1
    return done.stderr


def test_a_picture_of_the_data_is_not_drawn_over(command_line: CommandLine, demo: TinyDemo, copied: Path) -> None:
    mask = copied / "city/seg_train_annotations/train_0000.png"
    before = mask.read_bytes()
    overrides = data_overrides(copied)
    says = refused(command_line, "show-batch", "configs/experiments/toy_crop.yaml", *overrides, "--out", mask)
    assert "which this command reads" in says
    frame = mask.parents[1] / "seg_test_images/test_0000.jpg"
    assert "should end in .png" in refused(
        command_line, "show-batch", "configs/experiments/toy_crop.yaml", *overrides, "--out", frame
    )
    own = demo.root / "submissions/toy/oof"
    picture = next(own.glob("*.png"))
    says = refused(command_line, "show-ensemble", TOY, picture, *ensemble_overrides(demo.root))
    assert "which this command reads" in says
    truth = next((demo.root / "city/seg_train_annotations").glob("*.png"))
    says = refused(command_line, "show-ensemble", TOY, truth, *ensemble_overrides(demo.root))
    assert "which this command reads" in says and mask.read_bytes() == before


def test_a_figure_may_be_drawn_again_where_it_was(command_line: CommandLine, copied: Path) -> None:
    out = copied / "city/batch.png"
    words = ["configs/experiments/toy_crop.yaml", *data_overrides(copied), "--images", "1", "--out", out]
    for _ in range(2):
        assert command_line.run("show-batch", *words).status == 0


@pytest.mark.usefixtures("nothing_changes")
def test_a_table_replaces_nothing_but_its_like(command_line: CommandLine, copied: Path) -> None:
    runs = copied / "runs/toy_full", copied / "runs/toy_crop"
    for table in ("folds.csv", "submissions/ledger.csv", "runs/toy_full/fold_0/metrics.csv"):
        assert "error: " in refused(command_line, "compare", *runs, "--csv", copied / table)
    assert "should end in .csv" in refused(command_line, "compare", *runs, "--csv", copied / "runs/x.txt")
    truth = copied / "city/seg_train_annotations/train_0000.json"
    submission = copied / "submissions/toy/submission.json"
    words = submission, submission, "--data", "configs/data/toy_city.yaml", *data_overrides(copied)
    for out, says in ((submission, ".csv"), (copied / "folds.csv", "read by this command"), (truth, ".csv")):
        assert says in refused(command_line, "score", *words, "--per-image", out)
    ledger = copied / "submissions/ledger.csv"
    assert "should end in .png" in refused(command_line, "ledger", "--ledger", ledger, "plot", ledger)


def test_a_table_may_be_written_again(command_line: CommandLine, demo: TinyDemo, tmp_path: Path) -> None:
    submission = demo.root / "submissions/toy/submission.json"
    words = submission, submission, "--data", "configs/data/toy_city.yaml", *data_overrides(demo.root)
    for _ in range(2):
        done = command_line.run("score", *words, "--per-image", tmp_path / "x.csv")
        assert done.status == 0, done.stderr


@pytest.mark.usefixtures("nothing_changes")
def test_a_run_is_not_exported_into_itself(command_line: CommandLine, copied: Path) -> None:
    run, best = copied / "runs/toy_full/fold_0", copied / "runs/toy_full/fold_0/checkpoints/best.ckpt"
    for script, suffix in (("export-encoder", ".pth"), ("export-onnx", ".onnx")):
        assert f"should end in {suffix}" in refused(command_line, script, run, best)
    assert "is a folder" in refused(command_line, "export-onnx", run, folder_named(copied.parent / "x.onnx"))


def folder_named(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("suffix", [".pth", ".onnx"])
def test_a_file_of_another_kind_is_not_replaced(
    command_line: CommandLine, demo: TinyDemo, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"notes{suffix}"
    out.write_text("my notes")
    script = "export-encoder" if suffix == ".pth" else "export-onnx"
    assert "is there already and holds no" in refused(command_line, script, demo.root / "runs/toy_full/fold_0", out)
    assert out.read_text() == "my notes"


def test_the_reference_of_settings_replaces_nothing_but_its_like(command_line: CommandLine, tmp_path: Path) -> None:
    for option, name in (("--markdown", "README.md"), ("--schema", "summary.json")):
        own = tmp_path / name
        own.write_text('{"best": 0.5}')
        assert "is there already and holds something else" in refused(command_line, "settings", option, own)
        assert own.read_text() == '{"best": 0.5}'
        for _ in range(2):
            done = command_line.run("settings", option, tmp_path / f"new_{name}")
            assert done.status == 0, done.stderr
    assert "should end in .json" in refused(command_line, "settings", "--schema", tmp_path / "my.yaml")


def test_pictures_are_not_predicted_over_themselves(command_line: CommandLine, demo: TinyDemo, copied: Path) -> None:
    run, pictures = demo.root / "runs/toy_full/fold_0", copied / "city/seg_test_images"
    before = contents(copied)
    for out in (pictures, copied, copied / "city/seg_train_images/../seg_test_images"):
        assert "give --out another folder" in refused(command_line, "predict-images", run, pictures, "--out", out)
    strangers = copied / "city/seg_train_images"
    assert "no empty folder" in refused(command_line, "predict-images", run, pictures, "--out", strangers)
    assert contents(copied) == before
    out = copied / "predicted"
    assert command_line.run("predict-images", run, pictures, "--out", out).status == 0
    mask = next(out.glob("*.png"))
    before = contents(copied)
    for name in spelled(mask)[:2]:
        assert "its result" in refused(command_line, "predict-images", run, name, "--out", out)
    assert {name: content for name, content in contents(copied).items() if not name.startswith("names")} == before


def test_pseudo_labels_clear_no_folder_but_their_own(command_line: CommandLine, demo: TinyDemo, tmp_path: Path) -> None:
    words = TOY, tmp_path, *ensemble_overrides(demo.root), "steps=[]"
    (tmp_path / "fold_1").mkdir()
    (tmp_path / "fold_1/mine.png").write_text("drawn by hand")
    assert "mine.png" in refused(command_line, "pseudo-labels", *words)
    assert [p.name for p in (tmp_path / "fold_1").iterdir()] == ["mine.png"]
    (tmp_path / "fold_1/mine.png").unlink()
    for _ in range(2):
        assert command_line.run("pseudo-labels", *words).status == 0
    (tmp_path / "fold_0/pseudo.json").unlink()  # as if it had been killed
    assert command_line.run("pseudo-labels", *words).status == 0


def test_a_submission_is_not_made_in_anothers_folder(command_line: CommandLine, demo: TinyDemo, tmp_path: Path) -> None:
    (tmp_path / "toy/oof").mkdir(parents=True)
    (tmp_path / "toy/oof/mine.png").write_text("mine")
    words = [*ensemble_overrides(demo.root), f"submissions={tmp_path}"]
    assert "no submission of foldseg's (oof)" in refused(command_line, "ensemble", TOY, *words)
    run = demo.root / "runs/toy_full"
    says = refused(command_line, "ensemble", TOY, *words, f"submissions={run}", "name=fold_0")
    assert "no submission of foldseg's" in says
    (tmp_path / "ledger.csv").write_text("my,own\n")
    assert "ledger.csv: should have the columns" in refused(command_line, "ensemble", TOY, *words, "name=other")


def test_a_run_is_not_trained_in_anothers_folder(command_line: CommandLine, demo: TinyDemo, tmp_path: Path) -> None:
    (tmp_path / "toy_crop/fold_0").mkdir(parents=True)
    (tmp_path / "toy_crop/fold_0/mine.txt").write_text("mine")
    words = "configs/experiments/toy_crop.yaml", "0", *demo.overrides, f"runs={tmp_path}"
    assert "no run of foldseg's (mine.txt)" in refused(command_line, "train", *words)
    assert [p.name for p in (tmp_path / "toy_crop/fold_0").iterdir()] == ["mine.txt"]


def test_a_submission_of_another_format_does_not_stay(command_line: CommandLine, copied: Path) -> None:
    (copied / "submissions/toy/labels").mkdir()
    shutil.copy(next((copied / "submissions/toy/oof").glob("*.png")), copied / "submissions/toy/labels")
    done = command_line.run("ensemble", TOY, *ensemble_overrides(copied))
    assert done.status == 0 and "labels: removed, an earlier submission in another format" in done.stderr, done.said
    assert (copied / "submissions/toy/submission.json").is_file()
    assert not (copied / "submissions/toy/labels").exists()


def test_a_submission_is_converted_into_new_folders_and_files(
    command_line: CommandLine, demo: TinyDemo, copied: Path
) -> None:
    submission = copied / "submissions/toy/submission.json"
    settings = "--data", "configs/data/toy_city.yaml", *data_overrides(copied)
    before = contents(copied)
    for folder in ("city/seg_train_annotations", "city", "submissions/toy/oof", "submissions/toy"):
        refused(command_line, "convert", submission, copied / folder, *settings)
    annotation = next((copied / "city/seg_train_annotations").glob("*.json"))
    pngs = copied.parent / "pngs"
    for _ in range(2):
        assert command_line.run("convert", submission, pngs, *settings).status == 0
    refused(command_line, "convert", pngs, annotation, *settings)
    for other in ("submissions/toy/score.json", "runs/toy_full/fold_0/summary.json"):
        assert "holds something else" in refused(command_line, "convert", pngs, copied / other, *settings)
    assert contents(copied) == before
    for _ in range(2):
        assert command_line.run("convert", pngs, copied.parent / "again.json", *settings).status == 0
    assert json.loads((copied.parent / "again.json").read_text()).keys() == json.loads(submission.read_text()).keys()


@pytest.mark.parametrize(
    ("file", "key", "value", "script", "words"),
    [
        ("submissions/toy/score.json", "folds", None, "verify", ["submissions/toy"]),
        ("submissions/toy/score.json", "oof", [], "verify", ["submissions/toy"]),
        ("submissions/toy/score.json", "oof", {}, "verify", ["submissions/toy"]),
        ("runs/toy_full/fold_0/summary.json", "best_epoch", "two", "verify", ["runs/toy_full/fold_0"]),
        ("runs/toy_full/fold_0/provenance.json", "classes", None, "verify", ["runs/toy_full/fold_0"]),
        ("runs/toy_full/fold_0/provenance.json", "fold", "zero", "predict", ["runs/toy_full/fold_0"]),
        ("runs/toy_full/fold_0/predictions/oof/store.json", "ids", 5, "compare", ["runs/toy_full", "runs/toy_crop"]),
    ],
)
def test_a_damaged_json_of_ours_is_named_with_its_key(
    command_line: CommandLine, copied: Path, file: str, key: str, value: object, script: str, words: list[str]
) -> None:
    content = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps({name: v for name, v in content.items() if name != key}
                                          | ({} if value is None else {key: value})))  # fmt: skip
    says = refused(command_line, script, *(copied / word for word in words))
    assert Path(file).name in says or "store.json" in says or "is stale" in says


@pytest.mark.parametrize(
    ("file", "content", "script", "words"),
    [
        ("submissions/toy/score.json", b"[]", "verify", ["submissions/toy"]),
        ("submissions/toy/score.json", b"{" + b'"a": [' * 50_000, "verify", ["submissions/toy"]),
        ("submissions/toy/config.yaml", b"members: 5", "verify", ["submissions/toy"]),
        ("submissions/ledger.csv", b"\x00\xff", "ledger", []),
        ("submissions/ledger.csv", b"", "verify", ["submissions/toy"]),
        ("runs/toy_full/fold_0/metrics.csv", b"", "verify", ["runs/toy_full/fold_0"]),
        ("runs/toy_full/fold_0/metrics.csv", b"epoch\n99\n", "verify", ["runs/toy_full/fold_0"]),
        ("submissions/toy/fitted.npz", b"PK", "predict-images", ["submissions/toy", "city/seg_test_images"]),
    ],
)
def test_a_damaged_file_of_ours_is_named(
    command_line: CommandLine, copied: Path, file: str, content: bytes, script: str, words: list[str]
) -> None:
    (copied / file).write_bytes(content)
    more = {"ledger": ["--ledger", copied / file], "predict-images": ["--out", copied / "out"]}.get(script, [])
    says = refused(command_line, script, *(copied / word for word in words), *more)
    assert Path(file).name in says and str(REPOSITORY) not in says

"""Settings without effect, rules on several settings, and keys by the wrong name: said in one line each."""

from pathlib import Path

import pytest

from command.line import CommandLine
from foldseg.config import load_experiment
from foldseg.config.unused import RULES, describe_unused_settings

REPOSITORY = Path(__file__).parents[2]
FULL = "configs/experiments/camvid_full.yaml"
DISTIL = "distillation={teachers: [x], pixel: 0, pair: 0, holistic: 1"

UNUSED = {  # setting -> overrides that switch off what it belongs to
    "loss.label_smoothing": ["loss={cross_entropy: 0, ohem: 1, label_smoothing: 0.1}"],
    "loss.positive_weights": ["loss.positive_weights=2"],
    "loss.focal_gamma": ["loss.focal_gamma=3"],
    "loss.ohem_threshold": ["loss.ohem_threshold=0.5"],
    "loss.ohem_min_kept": ["loss.ohem_min_kept=0.5"],
    "loss.tversky_fp": ["loss.tversky_fp=0.5"],
    "loss.tversky_fn": ["loss.tversky_fn=0.5"],
    "loss.focal_tversky_gamma": ["loss={tversky: 1, focal_tversky_gamma: 0.5}"],
    "loss.boundary_tolerance": ["loss.boundary_tolerance=3"],
    "loss.auxiliary_weight": ["loss.auxiliary_weight=0.2"],
    "model.deep_supervision": ["model.deep_supervision=true", "loss.auxiliary_weight=0"],
    "model.presence_head": ["model.presence_head=true"],
    "model.encoder_weights": ["model.start_from=runs/x", "model.encoder_weights=x.pth"],
    "optimizer.encoder_lr_scale": ["optimizer.freeze_encoder_epochs=120"],
    "optimizer.encoder_first_lr_scale": ["optimizer={freeze_encoder_epochs: 120, encoder_first_lr_scale: 0.1}"],
    "early_stopping": ["early_stopping.patience=30", "validate_every=4"],
    "ema": ["ema.decay=0"],
    "swa": ["swa={start: 1.0}"],
    "top_k": ["top_k=5", "validate_every=30"],
    "keep_every": ["keep_every=121"],
    "max_skipped": ["max_skipped=3"],
    "cut_mix": ["cut_mix.probability=0"],
    "copy_paste": ["copy_paste={probability: 0, classes: {car: [road]}}"],
    "sampling.balance": ["sampling.balance={kind: class_crops, share: 0}", "view.train={kind: crop, size: [64, 64]}"],
    "distillation.pair_node": [f"{DISTIL}, pair_node: 3}}"],
    "distillation.critic_lr": ["distillation={teachers: [x], critic_lr: 0.1}"],
    "distillation.temperature": ["distillation={teachers: [x], pixel: 0, temperature: 2}"],
    "debug_images": ["debug_images=3"],
}


def test_every_rule_has_an_example():
    assert list(UNUSED) == [name for rule in RULES for name in rule.settings.split()]


@pytest.mark.parametrize("name", UNUSED)
def test_a_setting_without_effect_is_named(name: str):
    lines = list(describe_unused_settings(load_experiment(REPOSITORY / FULL, UNUSED[name])))
    assert [line for line in lines if line.startswith(f"{name}: ") and "has no effect" in line], lines


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("configs/experiments/[!_]*.yaml")), ids=lambda path: path.stem)
def test_committed_experiments_have_no_such_setting(path: Path):
    assert not list(describe_unused_settings(load_experiment(path)))


def test_it_is_said_before_training(command_line: CommandLine):
    words = ["loss.focal_gamma=3", "early_stopping.patience=200", "optimizer.freeze_encoder_steps=5"]
    done = command_line.run("train", FULL, "0", *words, "model.encoder_weights=null", "data.root=nowhere")
    assert done.status == 1 and done.stderr.count("has no effect") == 2
    assert "loss.focal_gamma: 3.0 has no effect: loss.focal is 0" in done.stderr
    assert "optimizer.freeze_encoder_steps: freezes random weights" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["loss={cross_entropy: 0, lovasz: 0, focal: 1}"],
            "loss.class_weights (configs/experiments/_camvid.yaml): class_",
        ),
        (
            ["validate_every=7"],
            "validate_every, schedule.epochs (the command line, configs/experiments/_camvid.yaml): ",
        ),
        (
            ["snapshots=true"],
            "snapshots, schedule.kind (the command line, configs/experiments/_camvid.yaml): snapshots are",
        ),
        (["batch_size=3", "devices=2"], "batch_size, devices (the command line): batch_size 3 cannot be divided"),
        (
            ["view.train={kind: resized, scale: 0.5}"],
            "view.train.scale (the command line): unknown key; did you mean 'factor'",
        ),
        (["view.train={kind: crop, size: [64, 64], factor: 2}"], "unknown key; did you mean 'scale'"),
        (["batch_size=x"], "batch_size (the command line): Input should be a valid integer, unable to parse"),
        (
            ["data.labels=3"],
            "data.labels (the command line): Input should be 'all', 'scored' or 'categories', or a list, "
            "or a mapping; found 3",
        ),
    ],
)
def test_one_mistake_is_one_line(command_line: CommandLine, overrides: list[str], says: str):
    done = command_line.run("train", FULL, "0", *overrides)
    assert done.status == 1 and "1 wrong setting(s)" in done.stderr and says in done.stderr, done.stderr
    assert "(the whole)" not in done.stderr and len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            "kind: clean_up, min_area: -1",
            "min_area (the command line): Input should be greater than or equal to 0; found -1",
        ),
        ("kind: clean_up, min_area: abc", "min_area (the command line): Input should be a valid integer"),
        ("kind: crf, smooth_std: [1, -1]", "smooth_std.1 (the command line): Input should be greater than 0; found -1"),
    ],
)
def test_one_wrong_number_of_a_step_is_one_line(command_line: CommandLine, step: str, says: str):
    done = command_line.run("ensemble", "configs/ensembles/toy.yaml", f"steps=[{{{step}}}]")
    assert done.status == 1 and "1 wrong setting(s)" in done.stderr and says in done.stderr, done.stderr


def test_settings_of_an_ensemble_that_do_not_go_together_are_named(command_line: CommandLine):
    words = ["submission=label_png", "steps=[{kind: thresholds, categories: overlapping}]"]
    done = command_line.run("ensemble", "configs/ensembles/toy.yaml", *words)
    assert done.status == 1 and "submission, steps: submission label_png gives" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["model.options={activation: sigmoid}"],
            "model.options.activation: sigmoid would be applied before the softmax",
        ),
        (
            ["model={encoder: tu-resnet10t, options: {decoder_chanels: [8, 8, 8, 8, 8]}}"],
            "model.options.decoder_chanels: unet with tu-resnet10t has no such option; did you mean 'decoder_channels'",
        ),
        (["model.norm=sync", "devices=2", "device=cpu"], "model.norm: sync works on GPUs only, and 2 processes are to"),
    ],
)
def test_a_network_that_cannot_be_is_refused(
    command_line: CommandLine, camvid_root: Path, tmp_path: Path, overrides: list[str], says: str
):
    data = [f"data.root={camvid_root}", f"data.folds={tmp_path / 'folds.csv'}", "data.fold_count=2"]
    assert command_line.run("folds", "configs/data/camvid.yaml", *data).status == 0
    words = [*data, "model.encoder_weights=null", f"runs={tmp_path}", "batch_size=2", *overrides]
    done = command_line.run("train", FULL, "0", *words)
    assert done.status == 1 and says in done.stderr and "Traceback" not in done.stderr, done.stderr

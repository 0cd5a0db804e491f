"""The contract of all choices: what every kind of every choice promises, and how files and overrides change a kind."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from foldseg.config import load_ensemble, load_experiment, save
from foldseg.config.json_schema import choices
from foldseg.config.old_spellings import translate
from foldseg.config.reference import block, block_name
from foldseg.config.reference_text import page
from foldseg.config.schema import Ensemble, Experiment, Settings
from foldseg.config.schema.choice import Choice, check_entries
from foldseg.errors import FoldsegError
from foldseg.runs.run_folder import RunFolder
from foldseg.training.checks import check_same

KINDS = [(choice, kind) for choice in choices() for kind in choice.kinds().values()]

every_kind = pytest.mark.parametrize(("choice", "kind"), KINDS, ids=lambda one: one.__name__)


def needed(kind: type[Choice]) -> dict[str, Any]:
    """Return the settings that a kind cannot do without: the required ones, and one of its alternatives."""
    example = kind.examples()[0]
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    chosen = [name for name in kind.alternatives if getattr(example, name) is not None]
    return {name: getattr(example, name) for name in [*required, *chosen]}


def own_names(choice: type[Choice], kind: type[Choice]) -> set[str]:
    return set(kind.model_fields) - set(choice.model_fields)


@every_kind
def test_a_kind_is_built_from_its_name(choice: type[Choice], kind: type[Choice]) -> None:
    name, more = kind.kind_name(), needed(kind)
    assert type(choice.parse(more | {"kind": name})) is kind
    if not more:
        assert choice.parse(name) == choice.parse({"kind": name}) == kind()


@every_kind
def test_a_kind_goes_through_yaml(choice: type[Choice], kind: type[Choice]) -> None:
    made = kind(**needed(kind))
    text = yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False)
    assert text.startswith(f"kind: {kind.kind_name()}\n")
    assert choice.parse(yaml.safe_load(text)) == made


@every_kind
def test_a_kind_refuses_the_settings_of_other_kinds(choice: type[Choice], kind: type[Choice]) -> None:
    others = {name for other in choice.kinds().values() for name in own_names(choice, other)}
    for name in others - own_names(choice, kind):
        with pytest.raises(ValidationError, match=name):
            choice.parse({**needed(kind), "kind": kind.kind_name(), name: 1})


@every_kind
def test_the_reference_shows_a_kind_with_its_own_settings_alone(choice: type[Choice], kind: type[Choice]) -> None:
    title = f"### {block_name(choice.__name__)}: {kind.kind_name()}\n"
    section = re.split(r"\n##", page().partition(title)[2])[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == own_names(choice, kind)


@pytest.mark.parametrize("choice", choices(), ids=lambda choice: choice.__name__)
def test_an_unknown_kind_is_refused_with_those_that_there_are(choice: type[Choice]) -> None:
    with pytest.raises(ValidationError, match="one of " + ", ".join(choice.kinds())):
        choice.parse("nothing")


@pytest.mark.parametrize("choice", choices(), ids=lambda choice: choice.__name__)
def test_only_what_has_a_default_kind_may_leave_it_out(choice: type[Choice]) -> None:
    first = next(iter(choice.kinds().values()))
    if choice.first_is_default:
        assert choice.parse({}) == first()
    else:
        with pytest.raises(ValueError, match="kind is missing; it is one of"):
            choice.parse({})


@pytest.mark.parametrize("block", [Experiment, Ensemble])
def test_the_default_of_a_setting_is_the_default_kind(block: type[Settings]) -> None:
    for name, field in block.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Choice):
            assert default.kind == type(default).choice().default_kind(), name
        assert default is not PydanticUndefined or field.is_required()


def test_a_registry_without_an_entry_is_an_error() -> None:
    choice = choices()[0]
    first, *rest = choice.kinds().values()
    check_entries([first, *rest], choice, "somewhere")
    with pytest.raises(TypeError, match=f"somewhere: has no entry for {first.__name__}, which the settings offer"):
        check_entries(rest, choice, "somewhere")
    with pytest.raises(TypeError, match="somewhere: has an entry for Settings, which the settings do not offer"):
        check_entries([first, *rest, Settings], choice, "somewhere")


# Files and overrides

EXPERIMENT = {
    "data": {"dataset": "camvid", "root": "data/camvid", "folds": "folds/camvid_5fold.csv"},
    "view": {"train": {"kind": "crop", "size": [64, 96]}, "predict": "full"},
    "schedule": {"kind": "poly", "power": 0.8, "lowest": 0.1, "epochs": 12, "linear_warm_up": 0.1},
    "optimizer": {"kind": "sgd", "lr": 0.5, "momentum": 0.7},
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


def test_a_setting_is_changed_on_top_of_the_kind_of_a_base(base: Path) -> None:
    loaded = load_experiment(base, ["schedule.power=2", "optimizer.lr=0.01"])
    assert loaded.schedule.model_dump() == {**EXPERIMENT["schedule"], "power": 2}
    assert (loaded.optimizer.kind, loaded.optimizer.lr) == ("sgd", 0.01)


@pytest.mark.parametrize("override", ["schedule=cosine", "schedule.kind=cosine", "schedule={kind: cosine}"])
def test_another_kind_keeps_what_it_has_too_and_drops_the_rest(base: Path, override: str) -> None:
    schedule = load_experiment(base, [override]).schedule
    assert schedule.model_dump() == {"kind": "cosine", "lowest": 0.1, "epochs": 12, "linear_warm_up": 0.1}


def test_a_file_changes_the_kind_of_its_base_like_an_override(base: Path, tmp_path: Path) -> None:
    top = tmp_path / "top.yaml"
    top.write_text("base: base.yaml\nschedule: constant\noptimizer: {kind: rmsprop, eps: 0.1}\n")
    loaded = load_experiment(top)
    assert loaded.schedule.model_dump() == {"kind": "constant", "epochs": 12, "linear_warm_up": 0.1}
    optimizer = loaded.optimizer.model_dump()
    assert (optimizer["lr"], optimizer["momentum"], optimizer["eps"]) == (0.5, 0.7, 0.1)


def test_the_same_kind_by_name_changes_nothing(base: Path) -> None:
    assert load_experiment(base, ["schedule=poly"]) == load_experiment(base)


@pytest.mark.parametrize("override", ["schedule.warm_up=0.5", "schedule={kind: poly, warm_up: 0.5}"])
def test_a_setting_of_another_kind_is_named_with_the_valid_ones(base: Path, override: str) -> None:
    with pytest.raises(FoldsegError) as caught:
        load_experiment(base, [override])
    assert (
        "schedule.warm_up (the command line): unknown key; poly has no warm_up, which is of kind one_cycle; "
        "valid keys here: kind, epochs, linear_warm_up, lowest, power"
    ) in str(caught.value)


def test_the_blocks_that_are_shown_are_those_of_the_choice() -> None:
    schedule = block("schedule")
    assert [setting.name for setting in schedule.settings] == ["kind", "epochs", "linear_warm_up"]
    poly = next(kind for kind in schedule.kinds if kind.name == "poly")
    assert poly == block("poly")
    assert [setting.name for setting in poly.settings] == ["lowest", "power"]


def test_the_schema_for_editors_takes_a_name_or_any_kind() -> None:
    schema = json.loads((Path(__file__).parents[2] / "configs/schema.json").read_text())["$defs"]
    names, *kinds = schema["Schedule"]["anyOf"]
    assert "poly" in names["enum"] and {"$ref": "#/$defs/Poly"} in kinds
    assert schema["Experiment"]["properties"]["schedule"]["$ref"] == "#/$defs/Schedule"


# Old spellings

OLDER = Path(__file__).parent / "older"


def test_the_settings_of_older_runs_are_read() -> None:
    run = load_experiment(OLDER / "poly_sgd.yaml")
    assert run.schedule.model_dump() == {
        "kind": "poly", "epochs": 120, "linear_warm_up": 0.1, "lowest": 0.01, "power": 0.8
    }  # fmt: skip
    assert (run.optimizer.kind, run.optimizer.lr) == ("sgd", 0.001)
    assert {"momentum": 0.8, "nesterov": True}.items() <= run.optimizer.model_dump().items()
    run = load_experiment(OLDER / "plateau_radam.yaml")
    assert {
        "kind": "plateau",
        "metric": "val_cross_entropy",
        "patience": 2,
    }.items() <= run.schedule.model_dump().items()
    assert run.optimizer.model_dump()["betas"] == (0.8, 0.9)


def test_the_class_weights_and_balances_of_older_runs_are_read() -> None:
    run = load_experiment(OLDER / "poly_sgd.yaml")
    assert run.loss.class_weights.model_dump() == {"kind": "effective_number", "beta": 0.99}
    assert run.sampling.balance.model_dump() == {"kind": "class_crops", "share": 0.25, "classes": "inverse_root"}
    run = load_experiment(OLDER / "plateau_radam.yaml")
    assert run.loss.class_weights.kind == "none"
    assert run.sampling.balance.model_dump() == {
        "kind": "positive", "classes": ("car",), "start": 0.9, "end": 0.4, "min_pixels": 1
    }  # fmt: skip


def test_the_settings_of_older_submissions_are_read() -> None:
    made = load_ensemble(OLDER / "fitted.yaml")
    assert made.blend.model_dump() == {"kind": "geometric_mean", "union": ()}
    assert [step.kind for step in made.steps] == ["weights", "bias", "crf", "thresholds", "clean_up"]
    weights, _, crf, thresholds, clean_up = (step.model_dump() for step in made.steps)
    assert weights == {"kind": "weights", "force": False, "search": {"kind": "continuous"}, "per_class": False}
    assert (crf["iterations"], crf["smooth_weight"]) == (2, (1, 2))
    assert thresholds["categories"] == "exclusive"
    assert (clean_up["min_area"], clean_up["classes"]) == ((4, 8), ("car",))


def test_the_data_sets_of_older_runs_are_read() -> None:
    run = load_experiment(OLDER / "toy.yaml")
    city = {"width": 256, "height": 160, "train_frames": 120, "test_frames": 24, "seed": 0}
    assert run.data.dataset.model_dump() == {"kind": "toy_city", **city}
    assert run == load_experiment(Path(__file__).parents[2] / "configs/experiments/toy_full.yaml")
    for name in ("poly_sgd", "plateau_radam"):
        assert load_experiment(OLDER / f"{name}.yaml").data.dataset.model_dump() == {"kind": "camvid"}


def test_a_toy_city_of_an_older_run_that_was_not_described_may_be_any() -> None:
    content = {"data": {"dataset": "toy_city", "root": "x", "toy_city": None}}
    assert translate(content) == {"data": {"dataset": "toy_city", "root": "x"}}


def test_a_run_with_older_settings_goes_on_with_the_same_ones_in_todays_spelling(tmp_path: Path) -> None:
    shutil.copy(OLDER / "poly_sgd.yaml", tmp_path / "config.yaml")
    today = [
        "name=poly_sgd",
        "schedule={kind: poly, power: 0.8, lowest: 0.01, linear_warm_up: 0.1}",
        "optimizer={kind: sgd, momentum: 0.8, nesterov: true}",
        "loss.class_weights={kind: effective_number, beta: 0.99}",
        "sampling.balance={kind: class_crops, share: 0.25, classes: inverse_root}",
    ]
    config = Path(__file__).parents[2] / "configs/experiments/camvid_crop.yaml"
    check_same(RunFolder(tmp_path), load_experiment(config, today))
    with pytest.raises(FoldsegError, match=r"schedule\.power \(0\.8 -> 0\.7\)"):
        check_same(RunFolder(tmp_path), load_experiment(config, [*today, "schedule.power=0.7"]))


def test_what_predictions_of_an_ensemble_say_of_it_is_translated_whole() -> None:
    """Whoever predicts pictures with an ensemble compares its settings with those of the last time."""
    keys = {"members", "tta", "blend", "steps", "labels", "folds"}
    content = yaml.safe_load((OLDER / "fitted.yaml").read_text())
    made = load_ensemble(OLDER / "fitted.yaml")
    assert translate({key: content[key] for key in keys}) == made.model_dump(mode="json", include=keys)


@pytest.mark.parametrize("path", sorted(OLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_older_settings_are_the_same_when_they_are_written_anew(path: Path, tmp_path: Path) -> None:
    load = load_ensemble if "members" in yaml.safe_load(path.read_text()) else load_experiment
    loaded = load(path)
    save(loaded, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == loaded


def test_settings_without_a_note_of_foldseg_are_those_of_a_run_by_their_name(tmp_path: Path) -> None:
    text = (OLDER / "poly_sgd.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.partition("\n")[2])
    assert load_experiment(tmp_path / "config.yaml") == load_experiment(OLDER / "poly_sgd.yaml")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("schedule.name=poly", "write schedule.kind=poly"),
        ("schedule={name: poly, power: 0.5}", "write schedule='{kind: poly, power: 0.5}'"),
        ("schedule.plateau.patience=1", "write schedule.patience=1"),
        ("loss.effective_number_beta=0.9", "write loss.class_weights='{kind: effective_number, beta: 0.9}'"),
        ("sampling.class_crops.share=0.3", "write sampling.balance='{kind: class_crops, share: 0.3}'"),
        ("sampling.positive={classes: [car]}", "write sampling.balance='{kind: positive, classes: [car]}'"),
        (
            "sampling={class_crops: {}, samples_per_epoch: 9}",
            "write sampling='{samples_per_epoch: 9, balance: {kind: class_crops}}'",
        ),
        ("optimizer.name=sgd", "write optimizer.kind=sgd"),
        ("optimizer={name: sgd, lr: 0.1}", "write optimizer='{kind: sgd, lr: 0.1}'"),
        ("data.toy_city.width=128", "write data.dataset='{kind: toy_city, width: 128}'"),
        ("data.toy_city=null", "leave it out"),
    ],
)
def test_an_old_spelling_in_an_override_is_refused_with_the_new_one(base: Path, override: str, says: str) -> None:
    with pytest.raises(FoldsegError) as caught:
        load_experiment(base, [override])
    assert f"override {override!r}: is spelled otherwise now; {says}" == str(caught.value)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("blend.rule=vote", "write blend.kind=vote"),
        ("blend={rule: vote, union: [car]}", "write blend='{kind: vote, union: [car]}'"),
        ("steps=[{bias: {}}]", "write steps=[bias]"),
        (
            "steps=[{crf: {iterations: 3}}, {kind: clean_up}]",
            "write steps='[{kind: crf, iterations: 3}, {kind: clean_up}]'",
        ),
        (
            "steps=[{weights: {rounds: 5, force: true}}]",
            "write steps='[{kind: weights, search: {kind: hill_climbing, rounds: 5}, force: true}]'",
        ),
        ("steps=[{weights: {search: continuous}}]", "write steps='[{kind: weights, search: continuous}]'"),
    ],
)
def test_an_old_spelling_of_an_ensemble_is_refused_with_the_new_one(tmp_path: Path, override: str, says: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("members: [{experiment: a}, {experiment: b}]\n")
    with pytest.raises(FoldsegError) as caught:
        load_ensemble(path, [override])
    assert f"override {override!r}: is spelled otherwise now; {says}" == str(caught.value)
    load_ensemble(path, [says.removeprefix("write ").replace("'", "")])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schedule: {name: step, gamma: 0.5}", "schedule: {kind: step, gamma: 0.5}"),
        ("schedule: {name: plateau, plateau: {factor: 0.5}}", "schedule: {kind: plateau, factor: 0.5}"),
        ("optimizer: {name: adam}", "optimizer: {kind: adam}"),
        (
            "data: {dataset: toy_city, folds: f.csv, toy_city: {seed: 1}}",
            "data: {dataset: {kind: toy_city, seed: 1}, folds: f.csv}",
        ),
    ],
)
def test_an_old_spelling_in_a_file_is_refused_with_the_new_one(base: Path, tmp_path: Path, old: str, new: str) -> None:
    top = tmp_path / "top.yaml"
    top.write_text(f"base: base.yaml\n{old}\n")
    with pytest.raises(FoldsegError) as caught:
        load_experiment(top)
    assert f"{top}: is spelled otherwise now; write {new}" == str(caught.value)
    top.write_text(f"base: base.yaml\n{new}\n")
    load_experiment(top)

"""Configurations: what is read, what is refused, and what the refusal says."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BeforeValidator, Field

from foldseg.config import load_data, load_ensemble, load_experiment, save
from foldseg.config.draft import Draft
from foldseg.config.problems import validate
from foldseg.config.schema import FullView, Optimizer, PredictView, ResizedView, Settings, Step, TilesView, TrainView
from foldseg.config.schema.choice import Choice
from foldseg.errors import FoldsegError

REPOSITORY = Path(__file__).parents[2]
EXPERIMENT = {
    "data": {"dataset": "camvid", "root": "data/camvid", "folds": "folds/camvid_5fold.csv"},
    "view": {"train": {"kind": "crop", "size": [64, 96]}, "predict": {"kind": "tiles", "size": [64, 64]}},
}
CRF, CLEAN, THRESHOLDS = "crf", {"kind": "clean_up", "min_area": 5}, "thresholds"
ENSEMBLE = {"members": [{"experiment": "a"}, {"experiment": "b", "weight": 0.5}]}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return write(tmp_path / "crop.yaml", EXPERIMENT)


def list_kinds(choice: type[Choice]) -> str:
    return ", ".join(choice.kinds())


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(FoldsegError) as caught:
        load_experiment(path, overrides)
    return str(caught.value)


def refused_ensemble(tmp_path: Path, **content: object) -> str:
    with pytest.raises(FoldsegError) as caught:
        load_ensemble(write(tmp_path / "e.yaml", ENSEMBLE | content))
    return str(caught.value)


def test_the_name_is_that_of_the_file(experiment: Path) -> None:
    assert load_experiment(experiment).name == "crop"


def test_a_file_overrides_its_bases_and_a_later_base_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", EXPERIMENT | {"batch_size": 1, "seed": 1, "optimizer": {"lr": 0.5}})
    write(tmp_path / "two.yaml", {"batch_size": 2, "seed": 2})
    top = write(tmp_path / "top.yaml", {"base": ["one.yaml", "two.yaml"], "batch_size": 3})
    loaded = load_experiment(top)
    assert (loaded.batch_size, loaded.seed, loaded.optimizer.lr) == (3, 2, 0.5)


def test_bases_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "data.yaml", EXPERIMENT)
    write(tmp_path / "deep" / "middle.yaml", {"base": "../data.yaml", "seed": 4})
    assert load_experiment(write(tmp_path / "top.yaml", {"base": "deep/middle.yaml"})).seed == 4


def test_an_override_wins_over_the_file(experiment: Path) -> None:
    loaded = load_experiment(experiment, ["batch_size=3", "optimizer.lr=1e-2", "early_stopping=null"])
    assert (loaded.batch_size, loaded.optimizer.lr, loaded.early_stopping) == (3, 0.01, None)


def test_unknown_key_is_named_with_suggestion_choices_and_file(experiment: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "x.yaml", EXPERIMENT | {"optimizer": {"learning_rte": 1, "weigth_decay": 0.1}})
    message = refusal(path)
    assert f"optimizer.weigth_decay ({path}): unknown key; did you mean 'weight_decay'?" in message
    assert "valid keys here: kind, lr, encoder_lr_scale, " in message
    assert "2 wrong setting(s)" in message


def test_unknown_key_of_a_base_is_blamed_on_the_base(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", EXPERIMENT | {"bathc_size": 2})
    message = refusal(write(tmp_path / "top.yaml", {"base": "base.yaml", "seed": 1}))
    assert f"bathc_size ({base}): unknown key; did you mean 'batch_size'?" in message


def test_the_file_that_says_it_last_is_blamed(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", EXPERIMENT | {"batch_size": 2})
    top = write(tmp_path / "top.yaml", {"base": "base.yaml", "batch_size": 0})
    assert f"batch_size ({top}): " in refusal(top)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("bathc_size=2", "bathc_size (the command line): unknown key; did you mean 'batch_size'?"),
        ("view.train.sise=[8,8]", "view.train.sise (the command line): unknown key; did you mean 'size'?"),
        ("view.predict.factor=2", "view.predict.factor (the command line): unknown key"),
        ("batch_size=many", "batch_size (the command line): Input should be a valid integer"),
        ("batch_size=0", "batch_size (the command line): Input should be greater than or equal to 1; found 0"),
        ("optimizer.lr=.nan", "optimizer.lr (the command line)"),
        ("loss.dice=.nan", "loss.dice (the command line)"),
        ("optimizer.lr=.inf", "optimizer.lr (the command line)"),
        ("precision=half", "'fp32', 'bf16' or 'fp16'; found 'half'"),
        ("monitor=miou", "'image_mean_precision', 'pixel_accuracy' or 'val_cross_entropy'"),
        ("view.train.kind=whole", f"there is no kind whole; valid are {list_kinds(TrainView)}"),
        ("view.predict.kind=crop", f"there is no kind crop; valid are {list_kinds(PredictView)}"),
        ("data.labels=road", "data.labels (the command line)"),
        ("loss={cross_entropy: 0}", "all terms are 0"),
        ("loss={dice:1}", "loss.dice:1 (the command line): unknown key; a blank is missing after the colon"),
        ("data.dataset={kind: toy_city, width:96}", "a blank is missing after the colon: write width: 96"),
        ("view.train={kind: resized, factor:0.5}", "1 wrong setting(s)"),
        (
            "loss={cross_entropy: 0, dice: 1, class_weights: inverse_log}",
            "the terms are dice: add one of the two, or set",
        ),
        ("loss={cross_entropy: 1, presence: 1}", "loss.presence is the weight of a head: set model.presence_head too"),
        ("optimizer.nesterov=true", "optimizer.nesterov (the command line): unknown key; adamw has no nesterov, which"),
        ("optimizer={kind: sgd, nesterov: true, momentum: 0}", "nesterov needs momentum above 0"),
        ("optimizer=adamm", f"no kind adamm (did you mean adam?); valid are {list_kinds(Optimizer)}"),
        ("optimizer=3", "optimizer (the command line)"),
        ("optimizer={freeze_encoder_epochs: 1, freeze_encoder_steps: 9}", "freeze_encoder_steps 9: give one of them"),
        ("schedule={kind: warm_restarts, epochs: 3, cycles: 4}", "do not fit into 3 epochs"),
        ("schedule={kind: step, milestones: [0.5, 0.1]}", "milestones [0.5, 0.1] should rise"),
        ("view.train.scale=[2.0,1.0]", "should be [low, high]"),
        ("data.dataset.seed=1", "unknown key; camvid has no seed, which is of kind toy_city; valid keys here: kind"),
        ("batch_size", "override 'batch_size' should read key=value"),
        ("model..encoder=x", "override 'model..encoder=x' should read key=value"),
        ("model=[", "is not a YAML value"),
        ("model=resnet34", "model (the command line)"),
    ],
)
def test_wrong_override_is_explained(experiment: Path, override: str, says: str) -> None:
    assert says in refusal(experiment, override)


def test_fp16_on_the_cpu_is_refused_before_training(experiment: Path) -> None:
    assert "precision fp16 needs a GPU" in refusal(experiment, "precision=fp16", "device=cpu")


def test_valid_keys_of_a_union_are_those_of_the_chosen_kind(experiment: Path) -> None:
    message = refusal(experiment, "view.predict.overlapp=0.2")
    assert "did you mean 'overlap'? valid keys here: kind, size, overlap" in message


def test_missing_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.yaml", {"data": EXPERIMENT["data"], "view": {"train": {"kind": "full"}}})
    assert f"view.predict ({path}): is missing" in refusal(path)


# A class that derives from Choice would be a choice of foldseg in all other tests, too
class Height(Settings):
    """A kind with a required setting of its own name."""

    kind: Literal["height"] = "height"
    height: int
    width: int = 1


class Circle(Settings):
    kind: Literal["circle"] = "circle"


Shape = Annotated[Height | Circle, Field(discriminator="kind"), BeforeValidator(Choice.long_form)]


class Drawing(Settings):
    shapes: tuple[Shape, ...]


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("height", "shapes.0.height (here): is missing"),
        ({"kind": "height", "width": 2}, "shapes.0.height (here): is missing"),
        ({"kind": "height", "height": "x"}, "shapes.0.height (here): Input should be a valid integer"),
        ({"kind": "height", "height": 1, "widht": 2}, "shapes.0.widht (here): unknown key; did you mean 'width'"),
    ],
)
def test_a_key_with_the_name_of_its_kind_is_named(shape: object, says: str) -> None:
    draft = Draft(Drawing)
    draft.merge({"shapes": [shape]}, "here")
    with pytest.raises(FoldsegError) as caught:
        validate(draft, Drawing, Path("drawing.yaml"))
    assert says in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("False", False), ("no", False), ("true", True)])
def test_switches_read_words_as_what_they_say(experiment: Path, text: str, expected: bool) -> None:
    """Defect 20: `--flag False` means False."""
    assert load_experiment(experiment, [f"channels_last={text}"]).channels_last is expected


def test_another_kind_drops_the_keys_of_the_block_below(experiment: Path) -> None:
    assert load_experiment(experiment, ["view.predict.kind=full"]).view.predict == FullView(kind="full")


def test_the_same_kind_keeps_the_keys_of_the_block_below(experiment: Path) -> None:
    predict = load_experiment(experiment, ["view.predict={kind: tiles, overlap: 0.25}"]).view.predict
    assert predict == TilesView(kind="tiles", size=(64, 64), overlap=0.25)


def test_an_alternative_takes_the_place_of_the_one_below(experiment: Path) -> None:
    resized = "view.train={kind: resized, factor: 0.5}"
    assert load_experiment(experiment, [resized]).view.train == ResizedView(factor=0.5)
    longer = load_experiment(experiment, [resized, "view.train.long_side=256"]).view.train
    assert longer == ResizedView(long_side=256)
    sized = load_experiment(experiment, [resized, "view.train.long_side=256", "view.train.size=[32, 64]"]).view.train
    assert sized == ResizedView(size=(32, 64))
    strided = load_experiment(experiment, ["view.predict.overlap=0.25", "view.predict.stride=[16, 16]"]).view.predict
    assert strided == TilesView(size=(64, 64), stride=(16, 16))


def test_a_resized_view_is_resized_in_one_way(experiment: Path) -> None:
    one_of = "needs exactly one of factor, size, long_side; found"
    assert f"{one_of} none of them" in refusal(experiment, "view.train.kind=resized")
    message = refusal(experiment, "view.train={kind: resized, factor: 2, long_side: 512}")
    assert "view.train" in message and f"{one_of} factor 2.0, long_side 512" in message


def test_another_architecture_drops_the_options_of_the_last(experiment: Path) -> None:
    options = "model.options={decoder_dropout: 0.1}"
    assert load_experiment(experiment, [options, "model.architecture=fpn"]).model.options == {}
    same = load_experiment(experiment, [options, "model.encoder=resnet18", "model.architecture=unet"])
    assert same.model.options == {"decoder_dropout": 0.1}


@pytest.mark.parametrize("links", [["a", "a"], ["a", "b", "a"]])
def test_a_file_that_is_its_own_base_is_refused(tmp_path: Path, links: list[str]) -> None:
    for name, base in pairwise(links):
        write(tmp_path / f"{name}.yaml", {"base": f"{base}.yaml"})
    assert "is its own base" in refusal(tmp_path / "a.yaml")


def test_a_base_that_two_files_share_is_no_cycle(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", EXPERIMENT)
    write(tmp_path / "a.yaml", {"base": "data.yaml"})
    top = write(tmp_path / "top.yaml", {"base": ["a.yaml", "data.yaml"]})
    assert load_experiment(top).data.dataset.kind == "camvid"


@pytest.mark.parametrize("base", [5, [None], {"file": "x.yaml"}, "", "missing.yaml", "."])
def test_a_base_that_is_no_file_is_refused(tmp_path: Path, base: object) -> None:
    path = write(tmp_path / "top.yaml", EXPERIMENT | {"base": base})
    message = refusal(path)
    assert str(path) in message
    assert "base" in message


def test_an_empty_base_key_is_no_base(tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path / "top.yaml", EXPERIMENT | {"base": None})).seed == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n- b\n", "should be a mapping of settings, is a list"),
        ("only words", "should be a mapping of settings, is a str"),
        ("a: [1\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = write(tmp_path / "x.yaml", content)
    assert f"{path}: {says}" in refusal(path)


def test_binary_instead_of_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    assert "is not text in UTF-8" in refusal(path)


def test_a_key_that_is_a_number_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.yaml", EXPERIMENT | {3: "x"})
    assert f"3 ({path})" in refusal(path)


def test_a_missing_file_suggests_its_neighbours(experiment: Path) -> None:
    message = refusal(experiment.with_name("corp.yaml"))
    assert "no such configuration; did you mean crop.yaml?" in message


def test_a_saved_experiment_loads_back_equal(experiment: Path, tmp_path: Path) -> None:
    overrides = ["loss={cross_entropy: 1, class_weights: [1, 2.5]}", "data.labels=[road, car]", "early_stopping=null"]
    loaded = load_experiment(experiment, overrides)
    save(loaded, tmp_path / "config.yaml")
    assert load_experiment(tmp_path / "config.yaml") == loaded
    assert loaded.name == "crop"


@pytest.mark.parametrize(
    "steps",
    [[], ["crf"], [{"kind": "clean_up", "min_area": 9}], [{"kind": "crf", "iterations": 2}, CLEAN]],
)
def test_a_saved_ensemble_loads_back_equal(tmp_path: Path, steps: list[object]) -> None:
    loaded = load_ensemble(write(tmp_path / "e.yaml", ENSEMBLE | {"steps": steps, "folds": [0, 2]}))
    save(loaded, tmp_path / "config.yaml")
    assert load_ensemble(tmp_path / "config.yaml") == loaded


def test_weights_and_defaults_of_members(tmp_path: Path) -> None:
    loaded = load_ensemble(write(tmp_path / "e.yaml", ENSEMBLE))
    assert [(m.experiment, m.weight) for m in loaded.members] == [("a", 1.0), ("b", 0.5)]


COMMITTED = sorted((REPOSITORY / "configs/ensembles").glob("*.yaml"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_committed_ensemble_blends_committed_experiments_of_one_data_set(path: Path) -> None:
    members = load_ensemble(path).members
    experiments = [load_experiment(REPOSITORY / f"configs/experiments/{m.experiment}.yaml") for m in members]
    assert len({experiment.data.dataset.kind for experiment in experiments}) == 1


@pytest.mark.parametrize(
    ("view", "slug"),
    [
        ({"kind": "full"}, "full_1"),
        ({"kind": "full", "multiple": 64}, "full_64"),
        ({"kind": "resized", "factor": 0.75}, "resized_0.75"),
        ({"kind": "resized", "size": [256, 384]}, "resized_256x384"),
        ({"kind": "resized", "long_side": 512}, "resized_512"),
        ({"kind": "tiles", "size": [512, 768]}, "tiles_512x768_0.5_mean"),
        ({"kind": "tiles", "size": [768, 768], "overlap": 0, "merge": "vote"}, "tiles_768x768_0.0_vote"),
    ],
)
def test_a_member_is_named_by_its_experiment_and_view(tmp_path: Path, view: dict[str, object], slug: str) -> None:
    members = [{"experiment": "a"}, {"experiment": "a", "view": view}]
    loaded = load_ensemble(write(tmp_path / "e.yaml", {"members": members}))
    assert [member.name for member in loaded.members] == ["a", f"a@{slug}"]
    save(loaded, tmp_path / "config.yaml")
    assert load_ensemble(tmp_path / "config.yaml") == loaded


def test_a_mistake_in_a_members_view_is_named(tmp_path: Path) -> None:
    good = {"experiment": "a", "view": {"kind": "tiles", "size": [64, 64]}}
    message = refused_ensemble(
        tmp_path, members=[{"experiment": "a"}, good | {"view": good["view"] | {"merg": "vote"}}]
    )
    assert "members.1.view.merg" in message
    assert "did you mean 'merge'? valid keys here: kind, size, overlap, stride, merge, weights, border" in message
    message = refused_ensemble(tmp_path, members=[good, {"experiment": "b", "view": {"kind": "crop"}}])
    assert "members.1.view" in message and f"valid are {list_kinds(PredictView)}" in message


@pytest.mark.parametrize(
    "steps",
    [[CLEAN, CRF], [CRF, CLEAN, CRF], [CLEAN, CLEAN, CRF], [CLEAN, THRESHOLDS], [THRESHOLDS, CRF], [THRESHOLDS] * 2],
)
def test_steps_in_an_order_that_cannot_be_are_refused(tmp_path: Path, steps: list[object]) -> None:
    more = {"score": "image_mean_iou_present", "submission": "signate_json"}
    assert "they come in this order" in refused_ensemble(tmp_path, steps=steps, **more)


@pytest.mark.parametrize("step", [{"crf": {}, "clean_up": {}}, {}, {"crf": None}, {"cfr": {}}, {"iterations": 3}])
def test_a_step_names_its_kind(tmp_path: Path, step: object) -> None:
    message = refused_ensemble(tmp_path, steps=[step])
    assert "steps.0" in message
    assert f"kind is missing; it is one of {list_kinds(Step)}" in message


def test_an_unknown_key_within_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    message = refused_ensemble(tmp_path, members=[{"experiment": "a"}, {"experiment": "b", "wieght": 1}])
    assert "members.1.wieght" in message
    assert "did you mean 'weight'? valid keys here: experiment, weight, view" in message


def test_an_unknown_step_lists_the_steps(tmp_path: Path) -> None:
    message = refused_ensemble(tmp_path, steps=["cfr"])
    assert f"there is no kind cfr (did you mean crf?); valid are {list_kinds(Step)}" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"members": []}, "members"),
        ({"members": [{"experiment": "a"}, {"experiment": "a"}]}, "members named twice: a"),
        ({"members": [{"experiment": "a", "view": {"kind": "full"}}] * 2}, "members named twice: a@full_1"),
        ({"labels": "all"}, "'as_trained' or 'scored'"),
        ({"folds": [0, 0]}, "name a fold twice"),
        ({"tta": ["vflip"]}, "'flip'"),
        ({"submission": "rle"}, "no kind rle; valid are label_png, signate_json"),
    ],
)
def test_impossible_ensembles_are_refused(tmp_path: Path, content: dict[str, object], says: str) -> None:
    assert says in refused_ensemble(tmp_path, **content)


def test_the_data_block_is_read_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "x.yaml", EXPERIMENT | {"batch_size": "nonsense"})
    assert load_data(path, ["data.fold_count=3"]).fold_count == 3


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("fold_count=3", r"fold_count \(the command line\): unknown key; did you mean data\.fold_count\?"),
        ("fold_cuont=3", r"fold_cuont .*did you mean data\.fold_count\?"),
        ("nonsense=3", r"nonsense \(the command line\): unknown key$"),
    ],
)
def test_an_unknown_key_beside_the_data_block_is_named(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        load_data(write(tmp_path / "x.yaml", EXPERIMENT), [override])


def test_a_file_without_data_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="has no `data:` block"):
        load_data(write(tmp_path / "x.yaml", {"seed": 1}))


@pytest.mark.parametrize("text", ["data: &a {dataset: *a}", "data: &a [1, *a]"])
def test_yaml_that_refers_to_itself_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "circle.yaml"
    path.write_text(text)
    with pytest.raises(FoldsegError, match=r"circle.yaml: not valid YAML: an alias \(\*\) refers to a mapping or list"):
        load_experiment(path)
    with pytest.raises(FoldsegError, match=r"is not a YAML value"):
        load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", ["data=&a {dataset: *a}"])


@pytest.mark.parametrize("seed", ["seed", "data.fold_seed", "data.dataset.seed"])
@pytest.mark.parametrize("value", ["-1", "99999999999999999999999"])
def test_a_seed_that_no_generator_takes_is_an_error(seed: str, value: str) -> None:
    with pytest.raises(FoldsegError, match=seed):
        load_experiment(REPOSITORY / "configs/experiments/toy_full.yaml", [f"{seed}={value}"])

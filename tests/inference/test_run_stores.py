"""Which store a run's predictions are in, and in which views a finished run can be predicted."""

from pathlib import Path

import pytest

from foldseg.config.schema import Experiment, FullView, PredictView, ResizedView, TilesView, Tta
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.deploy.interface import parse_options
from foldseg.errors import FoldsegError
from foldseg.inference.run_stores import expected_metadata, overridden_view, predict_run, store_of
from foldseg.runs.run_folder import RunFolder
from foldseg.training.sessions import describe_run

OWN = TilesView(kind="tiles", size=(64, 96), overlap=0.5)
VOTE = TilesView(kind="tiles", size=(64, 96), overlap=0.5, merge="vote")


@pytest.fixture
def run(tmp_path: Path, signate_root: Path) -> RunFolder:
    """A run that has described itself."""
    settings = {
        "name": "x",
        "data": {"dataset": "signate", "root": signate_root, "folds": tmp_path / "folds.csv", "fold_count": 2},
        "view": {"train": {"kind": "full"}, "predict": OWN},
        "runs": tmp_path,
    }
    experiment = Experiment.model_validate(settings)
    make_folds_file(experiment.data)
    run = RunFolder.of(experiment, 0)
    describe_run(run, experiment, 0, ["car"], DataSet(experiment.data))
    return run


@pytest.mark.parametrize(
    ("view", "tta", "name"),
    [
        (None, [], "oof"),
        (None, ["flip"], "oof-flip"),
        (OWN, ["flip"], "oof-flip"),  # asked for or not, it is the run's own
        (VOTE, [], "oof-tiles_64x96_0.5_vote"),
        (VOTE, ["flip"], "oof-tiles_64x96_0.5_vote-flip"),
        (FullView(kind="full"), [], "oof-full_1"),
        (FullView(kind="full", multiple=64), [], "oof-full_64"),
        (ResizedView(kind="resized", factor=1.5), [], "oof-resized_1.5"),
        (None, Tta(), "oof"),
        (None, Tta(symmetries="flip"), "oof-flip"),
        (VOTE, Tta(symmetries="d4", scales=(0.75, 1.25), merge="max"), "oof-tiles_64x96_0.5_vote-d4_x0.75_x1.25_max"),
    ],
)
def test_every_view_has_a_store_of_its_own(
    run: RunFolder, view: PredictView | None, tta: Tta | list[str], name: str
) -> None:
    assert store_of(run, "oof", tta, view).path == run.path / "predictions" / name
    assert store_of(run, "oof", tta, view, "swa").path.name == name.replace("oof", "oof-swa")


def test_metadata_tell_stores_apart_as_names_do(run: RunFolder) -> None:
    run.best.parent.mkdir()
    for checkpoint in ("best", "swa"):
        run.checkpoint(checkpoint).write_bytes(checkpoint.encode())
    data = DataSet(run.experiment.data)
    plain = expected_metadata(run, "oof", data)
    assert plain.differences(expected_metadata(run, "oof", data, view=OWN)) == []
    assert plain.differences(expected_metadata(run, "oof", data, ["flip"])) == ["TTA"]
    assert plain.differences(expected_metadata(run, "oof", data, view=VOTE, checkpoint="swa")) == ["weights", "view"]
    assert plain.differences(expected_metadata(run, "test", data)) == ["split", "images"]


@pytest.mark.parametrize(
    ("tta", "overrides", "expected"),
    [
        (None, [], (OWN, Tta())),
        (None, ["tta=flip"], (OWN, Tta(symmetries="flip"))),
        ("flip", ["view.predict.merge=vote"], (VOTE, Tta(symmetries="flip"))),
        ("{symmetries: d4}", ["tta.scales=[0.5]"], (OWN, Tta(symmetries="d4", scales=(0.5,)))),
        (None, ["tta.merge=max", "view.predict.merge=vote"], (VOTE, Tta(merge="max"))),
    ],
)
def test_a_command_line_asks_for_view_and_tta(
    run: RunFolder, tta: str | None, overrides: list[str], expected: tuple[PredictView, Tta]
) -> None:
    options = parse_options(overrides, tta, None, None)
    assert (overridden_view(run, options.view), options.tta) == expected


@pytest.mark.parametrize(
    ("tta", "view", "says"),
    [
        (["flip"], None, "for TTA flip give"),
        ((), FullView(kind="full", multiple=64), None),
        ((), VOTE, "for view tiles_"),
    ],
)
def test_logits_are_kept_of_the_plain_full_view_alone(
    run: RunFolder, tta: list[str], view: PredictView | None, says: str | None
) -> None:
    run.best.parent.mkdir()
    run.best.write_bytes(b"weights")  # which no network would take, but that is found out later
    with pytest.raises(
        FoldsegError, match=f"kept as logits.*{says}" if says else "best.ckpt: is not a file of weights"
    ):
        predict_run(run, ["oof"], tta, view=view, form="logits")


@pytest.mark.parametrize(
    ("overrides", "view"),
    [
        ([], OWN),
        (["view.predict.merge=vote"], VOTE),
        (["view.predict={kind: full, multiple: 64}"], FullView(kind="full", multiple=64)),
        (["view.predict={kind: full}", "view.predict.multiple=32"], FullView(kind="full", multiple=32)),
    ],
)
def test_overrides_change_the_view_that_the_run_remembers(
    run: RunFolder, overrides: list[str], view: PredictView
) -> None:
    assert overridden_view(run, overrides) == view


@pytest.mark.parametrize(
    "override", ["seed=1", "view.train.kind=full", "view={predict: {kind: full}}", "view.predictor.kind=full", "full"]
)
def test_nothing_but_the_view_is_overridden(run: RunFolder, override: str) -> None:
    with pytest.raises(FoldsegError, match=r"override .* but for its view; valid here are view\.predict={\.\.\.}"):
        overridden_view(run, [override])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("view.predict.merge=max", r"view\.predict\.merge \(the command line\): .*'mean' or 'vote'"),
        ("view.predict.overlp=0.1", "did you mean 'overlap'"),
        ("view.predict={kind: crop}", "valid are " + ", ".join(PredictView.kinds())),
        ("view.predict", "should read key=value"),
    ],
)
def test_a_mistake_in_a_view_is_told_as_in_every_override(run: RunFolder, override: str, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        overridden_view(run, [override])
